// Package storagetest contains the test suites that every store of the hub must pass.
package storagetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// Streams tests a hub.StreamStore. open returns an empty store; reopen returns the same store as after a restart.
func Streams(t *testing.T, open func(t *testing.T) hub.StreamStore,
	reopen func(t *testing.T, s hub.StreamStore) hub.StreamStore,
) {
	t.Run("runs add up in order", func(t *testing.T) {
		s := open(t)
		rec := record("a")
		save(t, s, rec)
		more := rec
		more.Status, more.Tail = hub.StatusDone, 4
		more.Runs = []log.Run{{First: 4, Lengths: []int{1}, Text: []byte("!")}}
		save(t, s, more, record("b"))
		got := load(t, reopen(t, s))
		want := more
		want.Runs = append(append([]log.Run{}, rec.Runs...), more.Runs...)
		if len(got) != 2 || !reflect.DeepEqual(got["a"], want) || !reflect.DeepEqual(got["b"], record("b")) {
			t.Errorf("got %+v\nwant %+v", got["a"], want)
		}
	})
	t.Run("deleted streams are gone", func(t *testing.T) {
		s := open(t)
		save(t, s, record("a"), record("b"))
		if err := s.Delete([]string{"a", "never there"}); err != nil {
			t.Fatal(err)
		}
		if got := load(t, reopen(t, s)); len(got) != 1 || got["b"].ID != "b" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("many streams, and one with many runs", func(t *testing.T) {
		s := open(t)
		const many, saves = 250, 450
		var ids []string
		var all []hub.StreamChange
		for n := range many {
			ids = append(ids, fmt.Sprint("s", n))
			all = append(all, record(ids[n]))
		}
		save(t, s, all...)
		long := record(ids[0])
		for n := range saves {
			long.Tail = uint64(4 + n)
			long.Runs = []log.Run{{First: long.Tail, Lengths: []int{1}, Text: []byte{'a' + byte(n%26)}}}
			save(t, s, long)
		}
		s = reopen(t, s)
		if got := order(t, s); !slices.Equal(got, ids) {
			t.Errorf("%v", got)
		}
		if got := load(t, s)[ids[0]]; len(got.Runs) != len(record("").Runs)+saves ||
			got.Runs[saves].First != uint64(2+saves) {
			t.Errorf("%d runs", len(got.Runs))
		}
		if err := s.Delete(ids[:many-1]); err != nil {
			t.Fatal(err)
		}
		if got := order(t, reopen(t, s)); !slices.Equal(got, ids[many-1:]) {
			t.Errorf("%v are left", got)
		}
	})
	t.Run("load ends with an error of its caller's", func(t *testing.T) {
		s := open(t)
		save(t, s, record("a"), record("b"))
		fault, calls := errors.New("enough"), 0
		err := s.Load(func(*hub.StreamRecord) error { calls++; return fault })
		if !errors.Is(err, fault) || calls != 1 {
			t.Errorf("%v after %d calls", err, calls)
		}
	})
}

// record returns a record with a value in every field.
func record(id string) hub.StreamRecord {
	at := time.UnixMilli(1700000000000).UTC()
	return hub.StreamRecord{
		ID: id, Kind: "completion", Topic: "code:project:42", Owner: "u", Key: "k", ContentType: "text/plain",
		Epoch: "e-1", Tail: 3, Digest: "d", Aliases: []string{"mine"},
		Idle: hub.IdlePolicy{CancelAfter: time.Second}, Completion: &hub.CompletionMeta{
			Kind:         hub.ChatCompletion,
			IncludeUsage: true, Model: "m",
		},
		Info: hub.CompletionInfo{ID: "x", Created: 5, Model: "m"}, Status: hub.StatusRunning,
		Ending: hub.Ending{Usage: []byte(`{"n":1}`), FinishReason: "stop", Error: &hub.EndError{
			Code: "c", Message: "m", Type: "t", Status: 429, Retry: time.Second, Body: []byte(`{"e":1}`),
		}},
		Timings: hub.Timings{Created: at, Started: at, FirstToken: at}, Account: hub.Account{Made: 3, Unwatched: 1},
		Producer: hub.ProducerRecord{
			Holder: "p", Epoch: 2, Known: map[string]hub.ProducerProgress{"p": {Epoch: 2, Last: 7}},
		},
		Runs: []log.Run{
			{First: 1, Lengths: []int{2, 4}, Text: []byte("hi🦆")},
			{First: 3, Kind: log.StreamEvent, Name: "note", Data: []byte(`{"a":1}`), Time: at},
		},
	}
}

func save(t *testing.T, s hub.StreamStore, changes ...hub.StreamChange) {
	t.Helper()
	if err := s.Save(changes); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, s hub.StreamStore) map[string]hub.StreamRecord {
	t.Helper()
	got := map[string]hub.StreamRecord{}
	if err := s.Load(func(rec *hub.StreamRecord) error { got[rec.ID] = *rec; return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

// order returns the ids in the order of loading, which is that of the first Save.
func order(t *testing.T, s hub.StreamStore) (ids []string) {
	t.Helper()
	if err := s.Load(func(rec *hub.StreamRecord) error { ids = append(ids, rec.ID); return nil }); err != nil {
		t.Fatal(err)
	}
	return ids
}
