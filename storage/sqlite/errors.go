package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/mattn/go-sqlite3"

	"github.com/duckwire/duckwire/hub/errs"
)

// Errors of Open and Err. Each is returned together with advice.
var (
	ErrLocked   = errors.New("another server is running on the data folder")
	ErrNewer    = errors.New("the database was written by a newer version")
	ErrCorrupt  = errors.New("the database is damaged")
	ErrReadOnly = errors.New("the database cannot be written")
	ErrFull     = errors.New("the disk is full")
	ErrStaleLog = errors.New("the write-ahead log belongs to another database")
)

// kinds are the errors that advise recognises, in order of precedence.
var kinds = []struct {
	err    error
	advice string
	codes  []sqlite3.ErrNo
	system []error
}{
	{ErrFull, "make room on it", []sqlite3.ErrNo{sqlite3.ErrFull}, []error{syscall.ENOSPC, syscall.EDQUOT}},
	{
		ErrCorrupt,
		"stop the server, keep a copy of the data folder, and restore a backup, " +
			"or try: sqlite3 " + FileName + " .recover",
		[]sqlite3.ErrNo{sqlite3.ErrCorrupt, sqlite3.ErrNotADB},
		nil,
	},
	{
		ErrReadOnly,
		"give the user of the server the right to write the data folder and its files, on a disk that can be written",
		[]sqlite3.ErrNo{sqlite3.ErrReadonly, sqlite3.ErrCantOpen, sqlite3.ErrPerm},
		[]error{fs.ErrPermission, syscall.EROFS},
	},
}

// advise wraps a known error with one of the package's errors and with advice on how to resolve it.
func advise(err error) error {
	var e sqlite3.Error
	fromSQLite := errors.As(err, &e)
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return err // it has advice already
		}
		for _, code := range k.codes {
			if fromSQLite && e.Code == code {
				return fmt.Errorf("%w (%w); %s", k.err, err, k.advice)
			}
		}
		for _, system := range k.system {
			if errors.Is(err, system) {
				return fmt.Errorf("%w (%w); %s", k.err, err, k.advice)
			}
		}
	}
	return err
}

// damage is the error for what a check found.
func damage(found string) error {
	return fmt.Errorf("%s: %w", found, sqlite3.Error{Code: sqlite3.ErrCorrupt})
}

// unavailable wraps an error with ErrUnavailable: the caller may try again.
func unavailable(err error) error {
	if err == nil || errors.Is(err, errs.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", errs.ErrUnavailable, err)
}
