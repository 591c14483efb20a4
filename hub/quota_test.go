package hub_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/memory"
)

// TestStreamsOfKeys: an API key's unfinished streams count against its own limit, and those that it starts for a user
// against both. Ended ones count nowhere, resumed ones again.
func TestStreamsOfKeys(t *testing.T) {
	h := newHub(t, hub.Options{Limits: hub.Limits{StreamsPerUser: 1, StreamsPerKey: 3}})
	create := func(owner, key string, want int64) *hub.Stream {
		t.Helper()
		s, _, err := h.CreateStream(hub.StreamSpec{Owner: owner, Key: key})
		var limit *errs.LimitError
		if errors.As(err, &limit) != (want > 0) || limit != nil && limit.Limit != want {
			t.Fatalf("of %s by %s: %v, want the limit %d", owner, key, err, want)
		}
		return s
	}
	create("k", "k", 0)
	create("k", "k", 0)
	adas := create("ada", "k", 0)
	create("bob", "k", 3)
	create("bob", "", 0)
	create("k", "", 0) // a user of the key's name
	create("ada", "", 1)
	create("ada", "other", 1)
	create("other", "other", 0)
	adas.Cancel("ada")
	create("bob", "k", 1)
	create("k", "k", 0)
	create("k", "k", 3)
	create("ada", "", 0)
}

// TestJobsOfKeys: the same of jobs.
func TestJobsOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Limits: hub.Limits{JobsPerUser: 1, JobsPerKey: 2}})
		defer h.Close()
		poll(t, h, "w")
		analyze := func(owner, key string, want int64) {
			t.Helper()
			_, _, err := h.Analyze(request(), hub.StreamSpec{Owner: owner, Key: key})
			var limit *errs.LimitError
			if errors.As(err, &limit) != (want > 0) || limit != nil && limit.Limit != want {
				t.Fatalf("of %s by %s: %v, want the limit %d", owner, key, err, want)
			}
		}
		analyze("ada", "k", 0)
		analyze("ada", "k", 1)
		analyze("k", "k", 0)
		analyze("k", "k", 2)
		analyze("bob", "k", 2)
		analyze("bob", "", 0)
	})
}

// TestKeyOfAStreamIsKept: a stream that is resumed after a restart counts against the key that started it.
func TestKeyOfAStreamIsKept(t *testing.T) {
	store := &memory.Store{}
	h := hub.New(hub.Options{Streams: store})
	if _, _, err := h.CreateStream(hub.StreamSpec{ID: "s", Owner: "k", Key: "k"}); err != nil {
		t.Fatal(err)
	}
	h.Close()
	h = hub.New(hub.Options{Streams: store.Clone(), Limits: hub.Limits{StreamsPerKey: 1}})
	defer h.Close()
	if err := h.Restore(); err != nil {
		t.Fatal(err)
	}
	s, err := h.Stream("k", "s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := send(s, hub.ProducerRef{ID: "p", Epoch: 1, Seq: 0}, "text", nil); err != nil {
		t.Fatal(err)
	}
	hubtest.Until(t, "it to run again", func() bool { return s.Status() == hub.StatusRunning })
	var limit *errs.LimitError
	if _, _, err := h.CreateStream(hub.StreamSpec{Owner: "k", Key: "k"}); !errors.As(err, &limit) {
		t.Errorf("another one of the key: %v", err)
	}
	if _, _, err := h.CreateStream(hub.StreamSpec{Owner: "k"}); err != nil {
		t.Errorf("one of a user: %v", err)
	}
}
