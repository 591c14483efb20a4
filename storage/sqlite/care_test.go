package sqlite_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/storage/sqlite"
)

// known reports whether a queue knows an id: sending it again returns the offset that it had.
func known(t *testing.T, s *sqlite.Store, id string, offset uint64) bool {
	t.Helper()
	m := message("u", id, 1)
	m.QueuedAt = noon.Add(time.Hour)
	return enqueue(t, s, m)[0] == offset
}

func TestSweep(t *testing.T) {
	s := folders{}.open(t)
	young, future := message("u", "young", 1), message("u", "future", 1)
	young.QueuedAt, future.QueuedAt = noon.Add(time.Minute), noon.Add(24*time.Hour)
	enqueue(t, s, message("u", "old", 1), young, future, message("u", "waits", 1))
	ack(t, s, "u", 3)
	s.Sweep(noon.Add(sqlite.IDTTL)) // not yet: the oldest message is exactly that old
	if !known(t, s, "old", 1) {
		t.Error("an id is forgotten too early")
	}
	s.Sweep(noon.Add(sqlite.IDTTL + time.Millisecond))
	if got := ids(t, s, "u"); !slices.Equal(got, []string{"waits"}) {
		t.Errorf("%v wait", got)
	}
	if !known(t, s, "young", 2) || !known(t, s, "waits", 4) {
		t.Error("an id is forgotten too early")
	}
	if known(t, s, "old", 1) {
		t.Error("the id of an old message is known for ever")
	}
	if known(t, s, "future", 3) {
		t.Error("the id of a message of the future is known until then")
	}
}

// TestSweepOfMany checks that a sweep deletes every old message, however many there are, and that no offset is
// assigned twice.
func TestSweepOfMany(t *testing.T) {
	f := folders{}
	s := f.open(t)
	const users, each = 120, 12
	for u := range users {
		var messages []hub.StoredMessage
		for n := range each {
			messages = append(messages, message(fmt.Sprint("u", u), name(n), 1))
		}
		enqueue(t, s, messages...)
		ack(t, s, fmt.Sprint("u", u), each)
	}
	s.Sweep(noon.Add(2 * sqlite.IDTTL))
	s = f.reopen(t, s)
	for u := range users {
		if got := enqueue(t, s, message(fmt.Sprint("u", u), name(0), 1)); got[0] != each+1 {
			t.Fatalf("user %d: offset %d", u, got[0])
		}
	}
}

func TestSteadyClock(t *testing.T) {
	var c sqlite.SteadyClock
	wall, up := noon, time.Duration(0)
	tick := func(wallBy, upBy, want time.Duration) {
		t.Helper()
		wall, up = wall.Add(wallBy), up+upBy
		if got := c.Tick(wall, up); got != want {
			t.Errorf("steady for %v, want %v", got, want)
		}
	}
	tick(0, 0, 0)
	tick(time.Second, time.Second, time.Second)
	tick(time.Second+sqlite.MaxSlip, time.Second, 2*time.Second) // slewed
	tick(time.Hour, time.Second, 0)                              // set ahead
	tick(time.Second, time.Second, time.Second)
	tick(-time.Hour, time.Second, 0) // set back
	tick(time.Minute, time.Minute, time.Minute)
}

// TestFileShrinks checks that the file becomes smaller when streams and messages are deleted.
func TestFileShrinks(t *testing.T) {
	s := folders{}.open(t)
	const size = 1 << 20
	for n := range 6 {
		enqueue(t, s, message("u", name(n), size))
	}
	ack(t, s, "u", 6)
	s.Checkpoint()
	large := s.Stats().FileBytes
	s.Sweep(noon.Add(2 * sqlite.IDTTL))
	for range 10 {
		s.Vacuum()
	}
	s.Checkpoint()
	if small := s.Stats().FileBytes; large < 6*size || small > large/3 {
		t.Errorf("%d bytes, and then %d", large, small)
	}
}

// TestLogIsBounded checks that the WAL does not grow without limit under a load that leaves no time for checkpoints.
func TestLogIsBounded(t *testing.T) {
	s, err := sqlite.Open(sqlite.Options{
		Dir: t.TempDir(), Logger: quiet, Durability: sqlite.Normal,
		CheckpointEvery: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := range 400 {
		enqueue(t, s, message("u", name(n), 256<<10))
	}
	if got := s.Stats().LogBytes; got > 2*sqlite.VeryLongLog {
		t.Errorf("%d bytes", got)
	}
}

// TestCheckpointEmptiesALongLog checks that a checkpoint truncates a long WAL when no reader is active.
func TestCheckpointEmptiesALongLog(t *testing.T) {
	s, err := sqlite.Open(sqlite.Options{
		Dir: t.TempDir(), Logger: quiet, Durability: sqlite.Normal,
		CheckpointEvery: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := range 18 {
		enqueue(t, s, message("u", name(n), 1<<20))
	}
	before := s.Stats().LogBytes
	s.Checkpoint()
	if after := s.Stats().LogBytes; before < 18<<20 || after > 0 {
		t.Errorf("%d bytes, and then %d", before, after)
	}
}

func TestStats(t *testing.T) {
	s := folders{}.open(t)
	before := s.Stats()
	enqueue(t, s, message("u", "a", 1), message("u", "b", 1), message("u", "a", 1))
	ack(t, s, "u", 1)
	if n, err := s.ExpireMessages("", noon.AddDate(1, 0, 0), 10); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	got := s.Stats()
	if got.Messages != 2 || got.Commits-before.Commits != 3 || got.Requests-before.Requests != 3 || got.Expired != 1 ||
		got.LargestBatch != 1 || got.Failures != 0 {
		t.Errorf("%+v after %+v", got, before)
	}
	if d := got.CommitTimes; int64(d.Count()) != got.Commits || d.Sum < got.CommitTime.Seconds()/2 {
		t.Errorf("%+v", got)
	}
	if got.CommitTime <= before.CommitTime || got.LongestCommit <= 0 || got.FileBytes == 0 ||
		got.LogBytes <= before.LogBytes {
		t.Errorf("%+v after %+v", got, before)
	}
}
