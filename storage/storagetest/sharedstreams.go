package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// SharedStreams tests the contract of hub.SharedStreams. two returns two nodes' views of one empty store, and registers
// their closing with t.Cleanup.
func SharedStreams(t *testing.T, two func(t testing.TB) (a, b hub.SharedStreams)) {
	t.Run("an id, an alias and a slot are taken once", func(t *testing.T) {
		a, b := two(t)
		replaced := ""
		add := func(s hub.SharedStreams, rec hub.StreamRecord, slot, wantTaken, wantSuperseded string) {
			t.Helper()
			taken, superseded, err := s.AddStream(&rec, slot, replaced)
			if err != nil || taken != wantTaken || superseded != wantSuperseded {
				t.Errorf("%q, %q, %v; want %q, %q", taken, superseded, err, wantTaken, wantSuperseded)
			}
		}
		add(a, shared("1", "mine"), "ghost", "", "")
		add(b, shared("1"), "", "1", "")
		add(b, shared("2", "mine"), "", "1", "")
		add(b, shared("3", "other"), "ghost", "", "1")
		newest, err := a.StreamsOf("ada", 10)
		if err != nil || len(newest) != 2 {
			t.Errorf("%+v, %v", newest, err)
		}
		for _, s := range newest {
			if wantNode := map[string]string{"1": a.Node(), "3": b.Node()}[s.Record.ID]; s.Node != wantNode || len(s.Record.Runs) > 0 || s.Record.Owner != "ada" {
				t.Errorf("%+v, want it to be of %s", s, wantNode)
			}
		}
		if newest, err := b.StreamsOf("ada", 1); err != nil || len(newest) != 1 {
			t.Errorf("of two, one at most: %+v, %v", newest, err)
		}
		if found, err := b.FindStream("ada", "mine"); err != nil || found.Node != a.Node() || found.Record.ID != "1" {
			t.Errorf("%+v, %v", found, err)
		}
		replaced = "3"
		add(b, shared("5", "mine"), "", "1", "")
		replaced = "1"
		add(b, shared("5", "mine"), "", "", "")
		if found, err := a.FindStream("ada", "mine"); err != nil || found.Record.ID != "5" {
			t.Errorf("a replaced alias names %+v, %v", found, err)
		}
		if found, err := a.FindStream("ada", "1"); err != nil || found.Record.ID != "1" {
			t.Errorf("the stream that was replaced: %+v, %v", found, err)
		}
		replaced = ""
		if _, err := b.FindStream("eve", "mine"); !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("an alias of somebody else's: %v", err)
		}
		if err := b.Delete([]string{"1", "3"}); err != nil {
			t.Error(err)
		}
		if found, err := b.FindStream("ada", "1"); err != nil || found.Node != a.Node() {
			t.Errorf("another node's stream is deleted: %+v, %v", found, err)
		}
		if _, err := a.FindStream("ada", "3"); !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("a stream that was deleted: %v", err)
		}
		if err := errors.Join(a.Delete([]string{"1"}), b.Delete([]string{"5"})); err != nil {
			t.Error(err)
		}
		add(a, shared("4", "mine"), "", "", "") // the alias is free: its stream was deleted
	})
	t.Run("changes are heard, and add up", func(t *testing.T) {
		a, b := two(t)
		rec := shared("1")
		rec.Runs = []log.Run{{First: 1, Lengths: []int{6}, Text: []byte("héllo")}}
		saveShared(t, a, rec)
		heard, gap := make(chan *hub.SharedStream, 9), make(chan bool, 9)
		defer b.FollowStream("1", func(c *hub.SharedStream) { heard <- c }, func() { gap <- true })()
		<-gap
		rec.Runs = []log.Run{{First: 2, Lengths: []int{1, 2}, Text: []byte("abb")}}
		saveShared(t, a, rec)
		if c := <-heard; c.Node != a.Node() || c.Record.Tail != 3 || len(c.Record.Runs) != 1 || c.Record.Runs[0].First != 2 {
			t.Errorf("%+v", c)
		}
		// A retry after a lost answer, with new entries.
		rec.Runs = []log.Run{{First: 2, Lengths: []int{1, 2, 3}, Text: []byte("abbccc")}}
		saveShared(t, a, rec)
		if found, err := b.FindStream("ada", "1"); err != nil || found.Record.Tail != 4 || textOf(found) != "hélloabbccc" {
			t.Errorf("%+v, %v", found, err)
		}
		rec.Runs, rec.Tail = []log.Run{{First: 9, Lengths: []int{1}, Text: []byte("x")}}, 0
		var failed *hub.SaveError
		if err := a.Save([]hub.StreamChange{rec}); !errors.As(err, &failed) || failed.Behind["1"] != 4 {
			t.Errorf("entries are missing: %v", err)
		}
		rec.ID = "never there"
		if err := a.Save([]hub.StreamChange{rec}); !errors.As(err, &failed) || failed.Behind["never there"] != 0 || len(failed.Behind) != 1 {
			t.Errorf("all is missing: %v", err)
		}
	})
	t.Run("a stream is one node's", func(t *testing.T) {
		a, b := two(t)
		saveShared(t, a, shared("1"))
		claim := func(from, want string) {
			t.Helper()
			if claimed, err := b.ClaimStream("1", from); err != nil || claimed.Node != want || claimed.Record.ID != "1" {
				t.Errorf("%+v, %v", claimed, err)
			}
		}
		claim("nobody", a.Node())
		claim(a.Node(), b.Node())
		claim(a.Node(), b.Node()) // a retry after a lost answer
		if _, err := b.ClaimStream("2", a.Node()); !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("one that there is not: %v", err)
		}
		var failed *hub.SaveError
		if err := a.Save([]hub.StreamChange{shared("1")}); !errors.As(err, &failed) || !slices.Equal(failed.Taken, []string{"1"}) {
			t.Errorf("another node's: %v", err)
		}
		saveShared(t, b, shared("1"))
	})
	t.Run("nodes ask each other", askEachOther(two))
}

func askEachOther(two func(t testing.TB) (a, b hub.SharedStreams)) func(t *testing.T) {
	return func(t *testing.T) {
		a, b := two(t)
		told := make(chan string, 9)
		events := hub.NodeEvents{
			Answer: func(from string, request []byte) []byte {
				if string(request) == "all" {
					told <- from
				}
				return fmt.Appendf(nil, "%s to %s", request, from)
			},
			Died: func(node string, _ []string) bool {
				t.Errorf("%s is found dead", node)
				return true
			},
		}
		defer a.Serve(events)()
		defer b.Serve(events)()
		var work sync.WaitGroup
		for n := range 50 {
			work.Go(func() {
				if answer, err := a.Ask(t.Context(), b.Node(), fmt.Append(nil, n)); err != nil || string(answer) != fmt.Sprintf("%d to %s", n, a.Node()) {
					t.Errorf("%s, %v", answer, err)
				}
			})
		}
		work.Wait()
		if !a.Alive(b.Node()) || !a.LeaseValid() || !slices.Equal(a.Others(), []string{b.Node()}) {
			t.Errorf("alive: %t, lease: %t, others: %v", a.Alive(b.Node()), a.LeaseValid(), a.Others())
		}
		if err := b.Tell([]byte("all")); err != nil || <-told != b.Node() {
			t.Errorf("told to all: %v", err)
		}
	}
}

func shared(id string, aliases ...string) hub.StreamRecord {
	rec := record(id)
	rec.Owner, rec.Aliases, rec.Runs, rec.Tail = "ada", aliases, nil, 0
	return rec
}

func saveShared(t testing.TB, s hub.SharedStreams, rec hub.StreamRecord) {
	t.Helper()
	if err := s.Save([]hub.StreamChange{rec}); err != nil {
		t.Error(err)
	}
}

func textOf(s *hub.SharedStream) (text string) {
	for i := range s.Record.Runs {
		text += string(s.Record.Runs[i].Text)
	}
	return text
}
