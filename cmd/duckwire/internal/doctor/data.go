package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Bounds of what checkData finds good.
const (
	littleSpace = 1 << 30  // bytes: the database and its journal grow
	noSpace     = 64 << 20 // bytes
	slowSync    = 100 * time.Millisecond
)

// checkData looks at the data folder, or where it is not there yet, at the folder it would be made in.
func (l *Local) checkData(r *Report) {
	const check = "data folder"
	dir, made := existing(l.DataDir)
	took, err := tryWrite(dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		r.Broken(check, "give it to the user that the server runs as, or set data_dir to one of its own", "%s: this user may not write there", dir)
		return
	case err != nil:
		r.Broken(check, "make room, or set data_dir to a folder that can be written", "%s: %v", dir, err)
		return
	case took > slowSync:
		r.Warn(check, "put data_dir on a disk that is faster, or less busy", "%s: a write to the disk takes %s, and every message of a queue waits for one", dir, took.Round(time.Millisecond))
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

// existing returns the nearest folder above path that is there, and whether that is path itself.
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

// tryWrite writes a file to the disk and removes it. It returns how long the disk took.
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

// checkMode looks at who else may look into the data folder: people's messages are in it, and with dev its secret.
func checkMode(r *Report, dir string) {
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o007 != 0 {
		r.Warn("data folder", "chmod 700 "+dir, "everybody on this machine may look into %s (mode %03o)", dir, info.Mode().Perm())
	}
}

// disk is the file system of a folder.
type disk struct {
	kind       string // "" where it is of no interest
	free, size uint64 // bytes
	nodes      uint64 // that are free; files need one each
	fixed      bool   // its nodes are counted
}

// What is told of kinds of file systems.
var (
	networkDisks = map[string]bool{"nfs": true, "smb": true, "cifs": true, "smb2": true, "9p": true, "afs": true, "ceph": true, "lustre": true, "fuse": true}
	memoryDisks  = map[string]bool{"tmpfs": true, "ramfs": true}
)

func (d *disk) check(r *Report, dir string) {
	const check = "disk"
	switch {
	case networkDisks[d.kind]:
		r.Warn(check, "set data_dir to a folder on a disk of this machine", "%s is on %s: SQLite needs locks and memory that files share, which network file systems do not keep to. It can lose data", dir, d.kind)
	case memoryDisks[d.kind]:
		r.Warn(check, "set data_dir to a folder on a disk", "%s is on %s, which a restart of the machine empties", dir, d.kind)
	case d.kind == "overlay":
		r.Warn(check, "mount a volume there", "%s is the container's own layer, and goes with the container", dir)
	}
	switch {
	case d.free < noSpace:
		r.Broken(check, "make room", "%s has %s left", dir, showBytes(d.free))
	case d.fixed && d.nodes < 100:
		r.Broken(check, "remove files", "%s has room for %d more files only", dir, d.nodes)
	case d.free < littleSpace:
		r.Warn(check, "make room, before writing fails", "%s has %s left", dir, showBytes(d.free))
	default:
		r.Fine(check, "%s of %s left", showBytes(d.free), showBytes(d.size))
	}
}
