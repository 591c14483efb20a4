package redistest

import (
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
)

//go:embed testdata/synced.c
var syncedSource []byte

// Powered is a redis-server that can lose power: its files then lose what was written after their last fsync.
type Powered struct{ *Server }

// StartPowered starts one with an append-only file and the given appendfsync.
func StartPowered(t testing.TB, appendfsync string) Powered {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("SKIPPED: gcc is not installed")
	}
	s := newServer(t, "--appendonly", "yes", "--appendfsync", appendfsync)
	source, library := filepath.Join(s.Dir, "synced.c"), filepath.Join(s.Dir, "synced.so")
	if err := os.WriteFile(source, syncedSource, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-O1", "-Wall", "-o", library, source,
		"-ldl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := Powered{s}
	s.env = []string{"LD_PRELOAD=" + library, "SYNCED=" + p.log()}
	s.Start()
	return p
}

func (p Powered) log() string { return filepath.Join(p.Dir, "synced") }

// Settle waits until everything written so far is durable.
func (p Powered) Settle() {
	p.t.Helper()
	hubtest.Until(p.t, "what was written to be durable", func() bool {
		lost := int64(0)
		p.files(func(_ string, size, durable int64) { lost += size - durable })
		return lost == 0
	})
}

// Hold makes fsync ineffective from now on.
func (p Powered) Hold() {
	p.t.Helper()
	if err := os.WriteFile(p.log()+".hold", nil, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// LosePower kills the server, and truncates its files to what was durable. It returns how many bytes were lost.
func (p Powered) LosePower() (lost int64) {
	p.t.Helper()
	p.Kill()
	p.files(func(path string, size, durable int64) {
		lost += size - durable
		if err := os.Truncate(path, durable); err != nil {
			p.t.Fatal(err)
		}
	})
	_ = os.Remove(p.log() + ".hold")
	return lost
}

// files calls each with the size of each file of the append-only log, and with how much of it is durable.
func (p Powered) files(each func(path string, size, durable int64)) {
	p.t.Helper()
	lines, _ := os.ReadFile(p.log())
	durable := make(map[uint64]int64)
	for line := range strings.Lines(string(lines)) {
		var inode uint64
		var size int64
		if _, err := fmt.Sscan(line, &inode, &size); err == nil { // the last line may be incomplete
			durable[inode] = size
		}
	}
	err := filepath.WalkDir(filepath.Join(p.Dir, "appendonlydir"),
		func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			each(path, info.Size(), durable[info.Sys().(*syscall.Stat_t).Ino])
			return nil
		})
	if err != nil {
		p.t.Fatal(err)
	}
}
