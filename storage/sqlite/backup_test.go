package sqlite_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/sqlite"
)

// TestBackupWhileRunning checks that a copy has every message that was acknowledged before the backup began, without
// gaps.
func TestBackupWhileRunning(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	var acknowledged atomic.Int64
	var work sync.WaitGroup
	stop := make(chan struct{})
	work.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Enqueue([]hub.StoredMessage{message("u", name(n), 2000)}, wide); err != nil {
				t.Error(err)
				return
			}
			acknowledged.Store(int64(n + 1))
		}
	})
	hubtest.Until(t, "some to be kept", func() bool { return acknowledged.Load() > 100 })
	before := acknowledged.Load()
	target := t.TempDir()
	file := filepath.Join(target, "backup.db")
	if err := sqlite.Backup(t.Context(), dir, file); err != nil {
		t.Fatal(err)
	}
	close(stop)
	work.Wait()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	only(t, target, "backup.db")
	move(t, file, filepath.Join(target, sqlite.FileName))

	restored := openIn(t, target)
	got := ids(t, restored, "u")
	if int64(len(got)) < before {
		t.Errorf("%d messages; %d were kept before the backup began", len(got), before)
	}
	for n := range got {
		if got[n] != name(n) {
			t.Fatalf("%s after %d", got[n], n)
		}
	}
	if restored.QueueEpoch() == s.QueueEpoch() {
		t.Error("the epoch is the old one")
	}
	epoch := restored.QueueEpoch()
	if err := restored.Close(); err != nil {
		t.Fatal(err)
	}
	if again := openIn(t, target); again.QueueEpoch() != epoch {
		t.Error("the epoch does not stay")
	}
}

// only fails unless a folder has exactly one file.
func only(t *testing.T, dir, file string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != file {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestBackupReplacesNothing(t *testing.T) {
	dir, target := t.TempDir(), t.TempDir()
	openIn(t, dir).Close()
	file := filepath.Join(target, "backup.db")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Backup(t.Context(), dir, file); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "mine" {
		t.Errorf("%q, %v", content, err)
	}
	only(t, target, "backup.db")
}

func TestBackupThatIsCancelledLeavesNothing(t *testing.T) {
	dir, target := t.TempDir(), t.TempDir()
	openIn(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sqlite.Backup(ctx, dir, filepath.Join(target, "backup.db")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if entries, err := os.ReadDir(target); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestBackupOfNothing(t *testing.T) {
	err := sqlite.Backup(t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "backup.db"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
