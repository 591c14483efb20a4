// Package storagetest is the suite that every store of the hub must pass.
package storagetest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// Streams holds a hub.StreamStore to its contract. open returns an empty store; reopen returns it again as after a restart.
func Streams(t *testing.T, open func(t *testing.T) hub.StreamStore, reopen func(t *testing.T, s hub.StreamStore) hub.StreamStore) {
	t.Run("runs add up in order", func(t *testing.T) {
		s := open(t)
		rec := record("a")
		save(t, s, rec)
		more := rec
		more.Status = hub.StatusDone
		more.Runs = []hub.Run{{First: 4, Lengths: []int{1}, Text: []byte("!")}}
		save(t, s, more, record("b"))
		got := load(t, reopen(t, s))
		want := more
		want.Runs = append(append([]hub.Run{}, rec.Runs...), more.Runs...)
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

// record returns a record with something in every field.
func record(id string) hub.StreamRecord {
	at := time.UnixMilli(1700000000000).UTC()
	return hub.StreamRecord{
		ID: id, Kind: "completion", Topic: "code:project:42", Owner: "u", ContentType: "text/plain", Epoch: "e-1", Digest: "d", Aliases: []string{"mine"},
		Keep: hub.Keep{CancelAfter: time.Second}, Completion: &hub.CompletionMeta{Kind: hub.ChatCompletion, IncludeUsage: true, Model: "m"},
		Info: hub.CompletionInfo{ID: "x", Created: 5, Model: "m"}, Status: hub.StatusRunning,
		Ending: hub.Ending{Usage: []byte(`{"n":1}`), FinishReason: "stop", Error: &hub.EndError{
			Code: "c", Message: "m", Type: "t", Status: 429, Retry: time.Second, Body: []byte(`{"e":1}`),
		}},
		Timings: hub.Timings{Created: at, Started: at, FirstToken: at}, Account: hub.Account{Made: 3, Unwatched: 1},
		Producer: hub.ProducerRecord{Holder: "p", Epoch: 2, Known: map[string]hub.ProducerProgress{"p": {Epoch: 2, Last: 7}}},
		Runs: []hub.Run{
			{First: 1, Lengths: []int{2, 4}, Text: []byte("hi🦆")},
			{First: 3, Kind: hub.StreamEvent, Name: "note", Data: []byte(`{"a":1}`), Time: at},
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
