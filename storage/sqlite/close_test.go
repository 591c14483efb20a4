package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/duckwire/duckwire/storage/sqlite"
)

// SQLite removes its log when the last connection is really closed.
func hasLog(t *testing.T, dir string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(dir, sqlite.FileName+"-wal"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func TestCloseClosesTheFile(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	if _, err := s.AckMessages("anna", 0); err != nil {
		t.Fatal(err)
	}
	if !hasLog(t, dir) {
		t.Error("an open store has no log")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if hasLog(t, dir) {
		t.Error("after Close somebody still has the file open")
	}
}

func TestFailedOpenClosesTheFile(t *testing.T) {
	dir := t.TempDir()
	if err := openIn(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`PRAGMA user_version = 1000`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(sqlite.Options{Dir: dir, Logger: quiet}); !errors.Is(err, sqlite.ErrNewer) {
		t.Errorf("a newer file: %v", err)
	}
	if hasLog(t, dir) {
		t.Error("after a failed Open somebody still has the file open")
	}
}
