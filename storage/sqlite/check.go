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

// checkTime is how long Open looks for damage. A file too large for that is looked at so far; what is found later makes the store read-only.
const checkTime = time.Second

// quickCheck looks for damage.
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

// The byte at 18 tells whether a file is written by way of a log (SQLite's file format, 1.3.4).
const (
	formatAt  = 18
	withLog   = 2
	headBytes = 100
)

// checkLog refuses a log that cannot be of the database beside it, since that never had one, or has nothing in it. It happens when somebody puts a
// backup in the place of a database, or takes the database away, and leaves the log: SQLite would write the one over the other, or drop the log.
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
		return fmt.Errorf("%w: there is nothing in %s; put back the file that was there, or a backup, and with a backup remove %[2]s-wal and %[2]s-shm", ErrStaleLog, path)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil // SQLite tells that it is no database
	case err != nil:
		return err
	case head[formatAt] != withLog:
		return fmt.Errorf("%w: if %s is a backup that was put there, remove %[2]s-wal and %[2]s-shm, which belong to the database before it", ErrStaleLog, path)
	}
	return nil
}
