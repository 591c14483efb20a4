package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Limits of checkData.
const (
	lowSpace = 1 << 30  // bytes; the database and its journal grow
	noSpace  = 64 << 20 // bytes
)

// checkData checks the data folder or, if it does not exist yet, its nearest existing parent.
func (l *Local) checkData(r *Report) {
	const check = "data folder"
	dir, made := existing(l.DataDir)
	took, err := tryWrite(dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		r.Broken(check, "give it to the user that the server runs as, or set data_dir to one of its own",
			"%s: this user may not write there", dir)
		return
	case err != nil:
		r.Broken(check, "make room, or set data_dir to a folder that can be written", "%s: %v", dir, err)
		return
	case took > slowSync:
		r.Warn(check, "put data_dir on a disk that is faster, or less busy",
			"%s: a write to the disk takes %s, and every message of a queue waits for one", dir,
			took.Round(time.Millisecond))
	case !made:
		r.Fine(check, "%s is not there yet; the server makes it", l.DataDir)
	default:
		r.Fine(check, "%s can be written", dir)
	}
	checkMode(r, l.DataDir)
	d, err := diskOf(dir)
	if err != nil {
		r.Skip("disk", "%s: %v", dir, err)
		return
	}
	d.check(r, dir)
}

// existing returns path or its nearest existing parent, and whether path itself exists.
func existing(path string) (dir string, itself bool) {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	for dir = abs; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return dir, dir == abs
		}
	}
}

// tryWrite writes, syncs and removes a file. It returns the duration of the sync.
func tryWrite(dir string) (took time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".duckwire-doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.Write(make([]byte, 64<<10)); err != nil {
		return 0, err
	}
	began := time.Now()
	err = f.Sync()
	return time.Since(began), err
}

// checkMode checks whether other users may read the data folder, which contains people's messages and, with dev, the
// secret.
func checkMode(r *Report, dir string) {
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o007 != 0 {
		r.Warn("data folder", "chmod 700 "+dir, "everybody on this machine may look into %s (mode %03o)", dir,
			info.Mode().Perm())
	}
}

// disk is the file system of a folder.
type disk struct {
	kind       string // "": not in diskKinds
	free, size uint64 // bytes
	nodes      uint64 // free inodes; each file needs one
	fixed      bool   // the number of inodes is limited
}

// Kinds of file systems that get a warning.
var (
	networkDisks = map[string]bool{
		"nfs": true, "smb": true, "cifs": true, "smb2": true, "9p": true, "afs": true,
		"ceph": true, "lustre": true, "fuse": true,
	}
	memoryDisks = map[string]bool{"tmpfs": true, "ramfs": true}
)

func (d *disk) check(r *Report, dir string) {
	const check = "disk"
	switch {
	case networkDisks[d.kind]:
		r.Warn(check, "set data_dir to a folder on a disk of this machine",
			"%s is on %s: SQLite needs locks and memory that files share, which network file systems do not keep "+
				"to. It can lose data", dir, d.kind)
	case memoryDisks[d.kind]:
		r.Warn(check, "set data_dir to a folder on a disk", "%s is on %s, which a restart of the machine empties", dir,
			d.kind)
	case d.kind == "overlay":
		r.Warn(check, "mount a volume there", "%s is the container's own layer, and goes with the container", dir)
	}
	switch {
	case d.free < noSpace:
		r.Broken(check, "make room", "%s has %s left", dir, showBytes(d.free))
	case d.fixed && d.nodes < 100:
		r.Broken(check, "remove files", "%s has room for %d more files only", dir, d.nodes)
	case d.free < lowSpace:
		r.Warn(check, "make room, before writing fails", "%s has %s left", dir, showBytes(d.free))
	default:
		r.Fine(check, "%s of %s left", showBytes(d.free), showBytes(d.size))
	}
}
