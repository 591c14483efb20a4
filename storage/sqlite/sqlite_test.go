package sqlite_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/storage/sqlite"
	"github.com/duckwire/duckwire/storage/storagetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(openEnv); dir != "" {
		os.Exit(openAlone(dir))
	}
	goleak.VerifyTestMain(m)
}

var quiet = slog.New(slog.DiscardHandler)

// openIn opens a store. The test closes it at its end, unless it was closed before.
func openIn(t testing.TB, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(sqlite.Options{Dir: dir, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// folders maps stores to their folders, so that a suite can reopen them.
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

func TestRevocations(t *testing.T) {
	f := folders{}
	storagetest.Revocations(t,
		func(t testing.TB) rights.RevocationStore { return f.open(t) },
		func(t testing.TB, s rights.RevocationStore) rights.RevocationStore {
			return f.reopen(t, s.(*sqlite.Store))
		})
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

var (
	noon = time.UnixMilli(1_800_000_000_000).UTC()
	wide = hub.QueueLimits{Messages: 1 << 20, Bytes: 1 << 40}
)

// message makes a message of a size.
func message(user, id string, bytes int) hub.StoredMessage {
	return hub.StoredMessage{
		User: user, ID: id, Named: true, Sender: "s", Topic: "user:" + user, Event: "e",
		Payload:  json.RawMessage(`"` + strings.Repeat("x", bytes) + `"`),
		QueuedAt: noon, ExpiresAt: noon.Add(24 * time.Hour),
	}
}

func enqueue(t testing.TB, s *sqlite.Store, messages ...hub.StoredMessage) []uint64 {
	t.Helper()
	offsets, err := s.Enqueue(messages, wide)
	if err != nil {
		t.Fatal(err)
	}
	return offsets
}

func ack(t testing.TB, s *sqlite.Store, user string, through uint64) {
	t.Helper()
	if ahead, err := s.AckMessages(user, through); ahead || err != nil {
		t.Fatal(ahead, err)
	}
}

// ids returns the ids of all messages of a user.
func ids(t testing.TB, s *sqlite.Store, user string) (all []string) {
	t.Helper()
	for after := uint64(0); ; {
		page, err := s.Messages(user, after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for i := range page.Messages {
			all = append(all, page.Messages[i].ID)
			after = page.Messages[i].Offset
		}
		if len(page.Messages) == 0 {
			return all
		}
	}
}

func name(n int) string { return fmt.Sprintf("m%d", n) }
