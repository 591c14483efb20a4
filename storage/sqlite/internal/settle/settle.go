// Package settle makes a write-ahead log durable before SQLite reads it.
//
// SQLite takes a log as it finds it: whatever is whole is committed. After a crash of the process alone that is what the page cache has, and the
// disk may have less. Two ways lead from there to the loss of something acknowledged, when the power goes too:
//
//   - The process died between writing a transaction and syncing it. The next one finds it committed, and tells a publisher who sends the same
//     id again that it is there.
//   - A sync failed, and the process ended before another transaction took the place of the one that was refused. Linux reports a failed sync
//     once, and then takes the pages for clean. The next process appends to a log that has a hole on the disk, its syncs succeed, and a power
//     loss cuts the log at the hole.
//
// Within one process SQLite is safe: a transaction whose sync failed is not part of the log for it, and the next one overwrites it, which makes
// the pages dirty again. So a store keeps its connection after a failed sync, and it is opening that needs care. To settle the log after an I/O error
// too is a second string.
//
// This is not a theory: without it, TestFaultsAreSeen of storage/sqlite/faulttest loses messages.
package settle

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// File is what settling needs of a file.
type File interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	Close() error
}

// Open opens a file for reading and writing. The tests of storage/sqlite/faulttest, which see calls of the C library only, put their own here.
var Open = func(path string) (File, error) { return os.OpenFile(path, os.O_RDWR, 0) }

// WAL writes the log of the database at path once more, each byte as it is, and syncs it. The caller must have the folder to itself, and nobody may
// write meanwhile; connections may be open, for SQLite locks other files than this one. No log is no error.
func WAL(path string) error {
	f, err := Open(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("settle the log: %w", err)
	}
	err = rewrite(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("settle the log: %w", err)
	}
	return nil
}

func rewrite(f File) error {
	buf := make([]byte, 1<<20)
	for at := int64(0); ; {
		n, err := f.ReadAt(buf, at)
		if n > 0 {
			if _, err := f.WriteAt(buf[:n], at); err != nil {
				return err
			}
			at += int64(n)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	return f.Sync()
}
