package sqlite_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/storage/sqlite"
)

func open(dir string) error {
	s, err := sqlite.Open(sqlite.Options{Dir: dir, Logger: quiet})
	if err != nil {
		return err
	}
	return s.Close()
}

// inFile does something to a database that no store has open.
func inFile(t *testing.T, dir, script string) {
	t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(script); err != nil {
		t.Fatal(err)
	}
}

func TestOneServerOnAFolder(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	if err := open(dir); !errors.Is(err, sqlite.ErrLocked) || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("the second: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(dir); err != nil {
		t.Errorf("after the first: %v", err)
	}
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, dir string)
		kind  error
		says  string
	}{
		"newer":     {func(t *testing.T, dir string) { inFile(t, dir, `PRAGMA user_version = 99`) }, sqlite.ErrNewer, "version 99"},
		"no header": {func(t *testing.T, dir string) { overwrite(t, dir, 0, 100) }, sqlite.ErrCorrupt, ".recover"},
		"no schema": {func(t *testing.T, dir string) { overwrite(t, dir, 100, 3000) }, sqlite.ErrCorrupt, "backup"},
		"no file":   {func(t *testing.T, dir string) { replaceByFolder(t, dir) }, nil, "right to write"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := open(dir); err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, dir)
			for range 2 { // it changes nothing
				err := open(dir)
				if err == nil || tt.kind != nil && !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), dir) {
					t.Errorf("%v", err)
				}
			}
		})
	}
	if err := open(filepath.Join("/dev/null", "data")); err == nil || !strings.Contains(err.Error(), "data folder") {
		t.Errorf("a folder that cannot be made: %v", err)
	}
}

// overwrite spoils a part of the file.
func overwrite(t *testing.T, dir string, at, n int) {
	t.Helper()
	path := filepath.Join(dir, sqlite.FileName)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(raw[at:], strings.Repeat("x", n))
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func replaceByFolder(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, sqlite.FileName)
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
}

// TestReadOnlyFolder runs only where permissions hold: not as root.
func TestReadOnlyFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Create(filepath.Join(dir, "x")); err == nil {
		f.Close()
		t.Skip("this user may write everywhere")
	}
	if err := open(dir); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "give the user") {
		t.Errorf("%v", err)
	}
}

// TestBackup: a copy that is made while messages come holds a beginning of them, and whoever opens it says that its offsets are another life's.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	m := func(id string) hub.StoredMessage {
		return hub.StoredMessage{User: "u", ID: id, Event: "e", Payload: []byte(`{}`)}
	}
	room := hub.QueueRoom{Messages: 100, Bytes: 1 << 20}
	if _, err := s.Enqueue([]hub.StoredMessage{m("a"), m("b")}, room); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy", sqlite.FileName)
	if err := os.Mkdir(filepath.Dir(copied), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Backup(t.Context(), dir, copied); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Backup(t.Context(), dir, copied); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another backup: %v", err)
	}
	if err := sqlite.Backup(t.Context(), t.TempDir(), copied+"2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no database: %v", err)
	}
	if _, err := s.Enqueue([]hub.StoredMessage{m("c")}, room); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(copied + "*"); len(left) != 1 {
		t.Errorf("beside the copy: %v", left)
	}
	again := openIn(t, filepath.Dir(copied))
	page, err := again.Messages("u", 0, 10)
	if err != nil || len(page.Messages) != 2 || page.Tail != 2 {
		t.Errorf("%+v, %v", page, err)
	}
	epoch := again.QueueEpoch()
	if epoch == s.QueueEpoch() {
		t.Error("the copy gives the same offsets to other messages, in the same epoch")
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if third := openIn(t, filepath.Dir(copied)); third.QueueEpoch() != epoch {
		t.Error("and again another epoch")
	}
}

// TestClosed: whoever comes late is told.
func TestClosed(t *testing.T) {
	s := openIn(t, t.TempDir())
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Enqueue([]hub.StoredMessage{{User: "u"}}, hub.QueueRoom{Messages: 1}); !errors.Is(err, hub.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if _, err := s.Messages("u", 0, 1); !errors.Is(err, hub.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func TestNobodyElseReads(t *testing.T) {
	dir := t.TempDir()
	openIn(t, dir)
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 4 {
		t.Errorf("%v", files)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
	}
}
