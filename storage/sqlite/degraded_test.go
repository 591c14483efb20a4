package sqlite_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mattn/go-sqlite3"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/sqlite"
	"github.com/duckwire/duckwire/storage/sqlite/internal/settle"
)

// refused fails unless a message is refused for the given reason.
func refused(t *testing.T, s *sqlite.Store, m hub.StoredMessage, reason error) {
	t.Helper()
	_, err := s.Enqueue([]hub.StoredMessage{m}, wide)
	if !errors.Is(err, errs.ErrUnavailable) || !errors.Is(err, reason) {
		t.Errorf("%v, want %v", err, reason)
	}
}

// enqueueSoon adds a message as soon as the store accepts it.
func enqueueSoon(t *testing.T, s *sqlite.Store, m hub.StoredMessage) {
	t.Helper()
	hubtest.Until(t, "the store to heal", func() bool {
		_, err := s.Enqueue([]hub.StoredMessage{m}, wide)
		if err != nil && !errors.Is(err, errs.ErrUnavailable) {
			t.Fatal(err)
		}
		return err == nil
	})
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

func TestFullWhileRunning(t *testing.T) {
	f := folders{}
	s := f.open(t)
	enqueue(t, s, message("u", "a", 1))
	if err := s.LimitPages(1); err != nil { // less than there are, so the file cannot grow
		t.Fatal(err)
	}
	refused(t, s, message("u", "b", 1<<20), sqlite.ErrFull)
	if err := s.Err(); !errors.Is(err, sqlite.ErrFull) {
		t.Error(err)
	}
	if got := ids(t, s, "u"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("%v", got)
	}
	if err := s.LimitPages(0); err != nil {
		t.Fatal(err)
	}
	enqueueSoon(t, s, message("u", "b", 1<<20))
	if got := ids(t, f.reopen(t, s), "u"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%v", got)
	}
}

// TestFailedDisk checks that after an I/O error nothing is written before the WAL has been settled, and that the store
// recovers by itself.
func TestFailedDisk(t *testing.T) {
	var failing atomic.Bool
	var settled atomic.Int64
	open := settle.Open
	t.Cleanup(func() { settle.Open = open }) // after the store is closed
	settle.Open = func(path string) (settle.File, error) {
		if failing.Load() {
			return nil, errors.New("the disk is away")
		}
		settled.Add(1)
		return open(path)
	}
	s := folders{}.open(t)
	enqueue(t, s, message("u", "a", 1))
	before := settled.Load()
	failing.Store(true)
	if err := s.Fail(sqlite3.ErrIoErr); !errors.Is(err, errs.ErrUnavailable) {
		t.Fatal(err)
	}
	if _, err := s.Enqueue([]hub.StoredMessage{message("u", "b", 1)}, wide); !errors.Is(err, errs.ErrUnavailable) {
		t.Fatal(err)
	}
	if s.Err() == nil || s.Stats().Failures < 2 {
		t.Errorf("%v, %+v", s.Err(), s.Stats())
	}
	failing.Store(false)
	hubtest.Until(t, "the store to heal by itself", func() bool { return s.Err() == nil })
	if settled.Load() == before {
		t.Error("the log was not settled")
	}
	enqueue(t, s, message("u", "b", 1))
	if got := ids(t, s, "u"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%v", got)
	}
}

// TestDamageEndsWriting checks that a damaged file is still read and no longer written.
func TestDamageEndsWriting(t *testing.T) {
	f := folders{}
	s := f.open(t)
	enqueue(t, s, message("u", "a", 1))
	if err := s.Fail(sqlite3.ErrCorrupt); !errors.Is(err, sqlite.ErrCorrupt) {
		t.Fatal(err)
	}
	for range 3 {
		refused(t, s, message("u", "b", 1), sqlite.ErrCorrupt)
	}
	if got := ids(t, s, "u"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("%v", got)
	}
	enqueue(t, f.reopen(t, s), message("u", "b", 1))
}

// TestOneOfABatch checks that a failing request does not fail the others of its batch.
func TestOneOfABatch(t *testing.T) {
	s := folders{}.open(t)
	release := s.Hold()
	var work sync.WaitGroup
	var bad, full error
	work.Go(func() { bad = s.Fail(sqlite3.ErrConstraint) })
	work.Go(func() {
		_, full = s.Enqueue([]hub.StoredMessage{message("v", "a", 1), message("v", "b", 1)},
			hub.QueueLimits{Messages: 1, Bytes: 100})
	})
	const good = 5
	failures := make([]error, good)
	for n := range good {
		work.Go(func() { _, failures[n] = s.Enqueue([]hub.StoredMessage{message("u", fmt.Sprint(n), 1)}, wide) })
	}
	hubtest.Until(t, "all to wait", func() bool { return s.Waiting() == good+2 })
	release()
	work.Wait()
	var e sqlite3.Error
	if !errors.As(bad, &e) || e.Code != sqlite3.ErrConstraint || errors.Is(bad, errs.ErrUnavailable) ||
		!errors.Is(full, errs.ErrQueueFull) {
		t.Errorf("%v, %v", bad, full)
	}
	if err := errors.Join(failures...); err != nil || s.Err() != nil {
		t.Errorf("%v; the store: %v", err, s.Err())
	}
	if got := ids(t, s, "u"); len(got) != good || len(ids(t, s, "v")) > 0 {
		t.Errorf("%v", got)
	}
}

// TestCloseUnderLoad checks that exactly the requests that were acknowledged before Close are stored.
func TestCloseUnderLoad(t *testing.T) {
	f := folders{}
	s := f.open(t)
	var work sync.WaitGroup
	var kept atomic.Int64
	for p := range 8 {
		work.Go(func() {
			for n := 0; ; n++ {
				_, err := s.Enqueue([]hub.StoredMessage{message("u", fmt.Sprintf("%d.%d", p, n), 1)}, wide)
				if err != nil {
					if !errors.Is(err, errs.ErrUnavailable) {
						t.Error(err)
					}
					return
				}
				kept.Add(1)
			}
		})
	}
	hubtest.Until(t, "some to be kept", func() bool { return kept.Load() > 100 })
	again := f.reopen(t, s)
	work.Wait()
	if got := ids(t, again, "u"); int64(len(got)) != kept.Load() {
		t.Errorf("%d are there, %d were kept", len(got), kept.Load())
	}
}
