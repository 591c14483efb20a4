package settle

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestWALStaysWhatItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := WAL(path); err != nil {
		t.Errorf("without a log: %v", err)
	}
	for _, size := range []int{0, 1, 1 << 20, 2<<20 + 17} {
		want := bytes.Repeat([]byte("duck"), size/4+1)[:size]
		if err := os.WriteFile(path+"-wal", want, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := WAL(path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path + "-wal"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes became %d, %v", size, len(got), err)
		}
	}
}

// failing is a log of one byte whose nth call fails.
type failing struct{ n int }

var errDisk = errors.New("disk")

func (f *failing) call() error {
	if f.n--; f.n == 0 {
		return errDisk
	}
	return nil
}

func (f *failing) ReadAt(_ []byte, at int64) (int, error) {
	if err := f.call(); err != nil {
		return 0, err
	}
	if at > 0 {
		return 0, io.EOF
	}
	return 1, nil
}

func (f *failing) WriteAt(p []byte, _ int64) (int, error) { return len(p), f.call() }
func (f *failing) Sync() error                            { return f.call() }
func (f *failing) Close() error                           { return f.call() }

func TestWALTellsEveryError(t *testing.T) {
	open := Open
	defer func() { Open = open }()
	for n := 1; n <= 5; n++ { // read, write, read, sync, close
		Open = func(string) (File, error) { return &failing{n}, nil }
		if err := WAL("x.db"); !errors.Is(err, errDisk) {
			t.Errorf("call %d: %v", n, err)
		}
	}
	Open = func(string) (File, error) { return nil, errDisk }
	if err := WAL("x.db"); !errors.Is(err, errDisk) {
		t.Errorf("open: %v", err)
	}
}
