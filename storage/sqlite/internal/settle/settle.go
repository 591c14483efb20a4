// Package settle makes a write-ahead log durable before SQLite reads it.
//
// SQLite trusts the WAL that it finds: every complete transaction in it is committed. After a crash of the process
// alone, SQLite reads it from the page cache, and the disk may have less of it. There are two ways in which a power
// loss after that loses acknowledged data:
//
//   - The process died between writing a transaction and syncing it. The next process finds the transaction committed,
//     and tells a publisher who sends the same id again that the message is stored.
//   - A sync failed, and the process ended before another transaction overwrote the refused one. Linux reports a
//     failed sync once and then marks the pages clean. The next process appends to a WAL that has a hole on disk, its
//     syncs succeed, and a power loss cuts the WAL at the hole.
//
// Within one process SQLite is safe: it does not count a transaction whose sync failed as part of the WAL, and the
// next one overwrites it, which makes the pages dirty again. So a store keeps its connection after a failed sync, and
// the WAL must be settled at opening. Settling it after an I/O error as well is a second safeguard.
//
// TestFaultsAreSeen of storage/sqlite/faulttest shows the need: without settling, it loses messages.
package settle

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// File is the part of os.File that settling needs.
type File interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	Close() error
}

// Open opens a file for reading and writing. The tests of storage/sqlite/faulttest replace it, because they only see
// calls of the C library.
var Open = func(path string) (File, error) { return os.OpenFile(path, os.O_RDWR, 0) }

// WAL rewrites the write-ahead log of the database at path with its own content, and syncs it. The caller must own the
// folder, and nobody may write meanwhile. Connections may be open: SQLite's locks are on other files. A missing log is
// no error.
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
