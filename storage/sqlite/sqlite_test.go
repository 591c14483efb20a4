package sqlite_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/storage/sqlite"
	"github.com/duckwire/duckwire/storage/storagetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

var quiet = slog.New(slog.DiscardHandler)

// openIn opens a store, which the test closes at its end if nobody has before.
func openIn(t testing.TB, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(sqlite.Options{Dir: dir, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// folders remembers where stores are, so that a suite can open them again.
type folders map[*sqlite.Store]string

func (f folders) open(t testing.TB) *sqlite.Store {
	dir := filepath.Join(t.TempDir(), "data")
	s := openIn(t, dir)
	f[s] = dir
	return s
}

func (f folders) reopen(t testing.TB, s *sqlite.Store) *sqlite.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openIn(t, f[s])
	f[again] = f[s]
	return again
}

func TestStreams(t *testing.T) {
	f := folders{}
	storagetest.Streams(t,
		func(t *testing.T) hub.StreamStore { return f.open(t) },
		func(t *testing.T, s hub.StreamStore) hub.StreamStore { return f.reopen(t, s.(*sqlite.Store)) })
}

func TestQueue(t *testing.T) {
	f := folders{}
	storagetest.Queue(t,
		func(t testing.TB) hub.QueueStore { return f.open(t) },
		func(t testing.TB, s hub.QueueStore) hub.QueueStore { return f.reopen(t, s.(*sqlite.Store)) })
}
