package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/mattn/go-sqlite3"
)

// checkTime is how long Open looks for damage. A large file is checked only in part; damage that is found later makes
// the store read-only.
const checkTime = time.Second

// quickCheck runs SQLite's quick_check for at most checkTime. Running out of time is not an error.
func quickCheck(db *sql.DB) error {
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
	defer cancel()
	var found string
	err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&found)
	var e sqlite3.Error
	switch {
	case ctx.Err() != nil, errors.As(err, &e) && e.Code == sqlite3.ErrInterrupt:
		return nil
	case err != nil:
		return err
	case found != "ok":
		return damage(found)
	}
	return nil
}

// The byte at offset 18 of the header is 2 if the file is written with a WAL (SQLite's file format, 1.3.4).
const (
	formatAt  = 18
	withLog   = 2
	headBytes = 100
)

// checkLog returns ErrStaleLog if the WAL cannot belong to the database beside it: the database is missing, empty, or
// was never written with a WAL. That happens when somebody replaces a database with a backup, or removes it, and
// leaves the WAL behind. SQLite would apply the WAL to the wrong database, or delete it.
func checkLog(path string) error {
	if size(path+"-wal") == 0 {
		return nil
	}
	head := make([]byte, headBytes)
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		_, err = io.ReadFull(f, head)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %s is missing or empty; put back the file that was there, or a backup, "+
			"and with a backup remove %[2]s-wal and %[2]s-shm", ErrStaleLog, path)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil // SQLite itself reports that it is no database
	case err != nil:
		return err
	case head[formatAt] != withLog:
		return fmt.Errorf("%w: if %s is a restored backup, remove %[2]s-wal and %[2]s-shm, "+
			"which belong to the database that it replaced", ErrStaleLog, path)
	}
	return nil
}
