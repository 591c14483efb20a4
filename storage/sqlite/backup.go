package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Backup copies the database of a data folder into a new file, as of one moment. A server may run on the folder
// meanwhile. The file appears only when it is complete and on disk. Whoever opens the copy gives its queues a new
// epoch.
func Backup(ctx context.Context, dir, file string) error {
	source := filepath.Join(dir, FileName)
	if _, err := os.Stat(source); err != nil {
		return fmt.Errorf("there is no database in %s: %w", dir, err)
	}
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s is there already: %w", file, fs.ErrExist)
	}
	// mode 0700: no other user reads an incomplete copy
	temp, err := os.MkdirTemp(filepath.Dir(file), ".duckwire-backup-*")
	if err != nil {
		return fmt.Errorf("create a folder for the backup: %w", advise(err))
	}
	defer os.RemoveAll(temp)
	part := filepath.Join(temp, FileName)
	if err := inFile(source, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, `VACUUM INTO ?`, part)
		return err
	}); err != nil {
		return fmt.Errorf("copy %s: %w", source, advise(err))
	}
	if err := inFile(part, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, `INSERT OR REPLACE INTO meta (key, value) VALUES (?, '1')`, metaCopy)
		return err
	}); err != nil {
		return fmt.Errorf("mark the backup as a copy: %w", advise(err))
	}
	if err := os.Chmod(part, 0o600); err != nil {
		return fmt.Errorf("restrict the backup to its owner: %w", err)
	}
	if err := syncPath(part); err != nil {
		return fmt.Errorf("sync the backup: %w", err)
	}
	if err := moveNew(part, file); err != nil {
		return fmt.Errorf("move the backup to its name: %w", err)
	}
	return syncPath(filepath.Dir(file))
}

// moveNew moves a file to its final name, without replacing another file. Without hard links, a file that somebody else
// creates at the same moment is replaced.
func moveNew(part, file string) error {
	err := os.Link(part, file)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(file); err == nil {
		return fs.ErrExist
	}
	return os.Rename(part, file)
}

// inFile opens a database, calls f, and closes it.
func inFile(path string, f func(db *sql.DB) error) error {
	db, err := sql.Open("sqlite3", dsn(path, "mode", "rw", "_busy_timeout", "5000", "_synchronous", "FULL"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	return errors.Join(f(db), db.Close())
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
