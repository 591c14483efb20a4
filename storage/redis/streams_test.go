package redis_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/storagetest"
)

func TestStreams(t *testing.T) {
	backends(t, func(t *testing.T, url string) {
		used := make(map[hub.StreamStore]string) // name of the node
		storagetest.Streams(t,
			func(t *testing.T) hub.StreamStore {
				s := open(t, redis.Options{URL: url})
				t.Cleanup(func() { forget(t, s) })
				used[s] = s.Node()
				return s
			},
			func(t *testing.T, s hub.StreamStore) hub.StreamStore {
				again := open(t, redis.Options{URL: url, Node: used[s]})
				used[again] = used[s]
				return again
			})
	})
}

// forget deletes the streams of a test: the suite reuses ids.
func forget(t testing.TB, s *redis.Store) {
	t.Helper()
	var ids []string
	if err := s.Load(func(rec *hub.StreamRecord) error { ids = append(ids, rec.ID); return nil }); err != nil {
		t.Error(err)
	}
	if err := s.Delete(ids); err != nil {
		t.Error(err)
	}
}

func streamRecord(id, text string, aliases ...string) *hub.StreamRecord {
	rec := &hub.StreamRecord{
		ID: id, Owner: "ada", Epoch: "e-1", Aliases: aliases, Status: hub.StatusRunning,
		Timings: hub.Timings{Created: time.Now()},
	}
	if text != "" {
		rec.Runs = []log.Run{{First: 1, Lengths: []int{len(text)}, Text: []byte(text)}}
	}
	return rec
}

func TestStreamsOfOthers(t *testing.T) {
	backends(t, func(t *testing.T, url string) {
		a, b := open(t, redis.Options{URL: url}), open(t, redis.Options{URL: url})
		want := func(taken, superseded, wantTaken, wantSuperseded string, err error) {
			t.Helper()
			if err != nil || taken != wantTaken || superseded != wantSuperseded {
				t.Errorf("%q, %q, %v; want %q, %q", taken, superseded, err, wantTaken, wantSuperseded)
			}
		}
		add := func(s *redis.Store, rec *hub.StreamRecord, slot, wantTaken, wantSuperseded string) {
			t.Helper()
			taken, superseded, err := s.AddStream(rec, slot, "")
			want(taken, superseded, wantTaken, wantSuperseded, err)
		}
		add(a, streamRecord("1", "héllo", "mine"), "ghost", "", "")
		add(b, streamRecord("1", ""), "", "1", "")
		add(b, streamRecord("2", "", "mine"), "", "1", "")
		add(b, streamRecord("3", "", "other"), "ghost", "", "1")
		for _, s := range []*redis.Store{a, b} {
			list, err := s.StreamsOf("ada", 10)
			if err != nil || len(list) != 2 {
				t.Fatalf("%+v, %v", list, err)
			}
			slices.SortFunc(list, func(one, other hub.SharedStream) int {
				return strings.Compare(one.Record.ID, other.Record.ID)
			})
			first, second := &list[0], &list[1]
			if first.Record.ID != "1" || first.Node != a.Node() || first.Record.Runs != nil ||
				first.Record.Bytes != len("héllo") {
				t.Errorf("%+v", first) // a record without Bytes, of an earlier version
			}
			if second.Record.ID != "3" || second.Node != b.Node() {
				t.Errorf("%+v", second)
			}
		}
		found, err := b.FindStream("ada", "mine")
		if err != nil || found.Node != a.Node() || found.Record.ID != "1" ||
			string(found.Record.Runs[0].Text) != "héllo" ||
			found.Record.Tail != 1 {
			t.Fatalf("%+v, %v", found, err)
		}
		if _, err := b.FindStream("eve", "mine"); !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("an alias of somebody else's: %v", err)
		}

		heard, gap := make(chan *hub.SharedStream, 9), make(chan bool, 9)
		defer b.FollowStream("1", func(c *hub.SharedStream) { heard <- c }, func() { gap <- true })()
		<-gap
		more := *streamRecord("1", "")
		more.Runs = []log.Run{{First: 2, Lengths: []int{1, 2}, Text: []byte("abb")}}
		if err := a.Save([]hub.StreamChange{more}); err != nil {
			t.Fatal(err)
		}
		if c := <-heard; c.Node != a.Node() || c.Record.Tail != 3 || len(c.Record.Runs) != 1 ||
			c.Record.Runs[0].First != 2 {
			t.Errorf("%+v", c)
		}
		// repeated after a lost answer, with more entries
		more.Runs = []log.Run{{First: 2, Lengths: []int{1, 2, 3}, Text: []byte("abbccc")}}
		if err := a.Save([]hub.StreamChange{more}); err != nil {
			t.Fatal(err)
		}
		if found, err := b.FindStream("ada", "1"); err != nil || found.Record.Tail != 4 ||
			len(found.Record.Runs) != 2 ||
			string(found.Record.Runs[1].Text) != "abbccc" {
			t.Errorf("%+v, %v", found, err)
		}

		more.Runs, more.Tail = []log.Run{{First: 9, Lengths: []int{1}, Text: []byte("x")}}, 0
		var failed *hub.SaveError
		if err := a.Save([]hub.StreamChange{more}); !errors.As(err, &failed) || failed.Behind["1"] != 4 {
			t.Errorf("entries are missing: %v", err)
		}
		if found, err := b.ClaimStream("1", "nobody"); err != nil || found.Node != a.Node() {
			t.Errorf("of a node whose it is not: %+v, %v", found, err)
		}
		if found, err := b.ClaimStream("none", a.Node()); !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("one that there is not: %+v, %v", found, err)
		}
		for range 2 { // repeated, as after a lost answer
			found, err := b.ClaimStream("1", a.Node())
			if err != nil || found.Node != b.Node() || found.Record.ID != "1" || found.Record.Tail != 4 ||
				len(found.Record.Runs) != 2 {
				t.Errorf("%+v, %v", found, err)
			}
		}
		more.Runs, more.Tail = nil, 4
		if err := a.Save([]hub.StreamChange{more}); !errors.As(err, &failed) || len(failed.Taken) != 1 {
			t.Errorf("another node's: %v", err)
		}
		if err := b.Save([]hub.StreamChange{more}); err != nil {
			t.Error(err)
		}
		if err := b.Delete([]string{"1", "3"}); err != nil {
			t.Error(err)
		}
		add(a, streamRecord("4", "", "mine"), "", "", "") // the alias's stream is deleted
	})
}

func TestNodesAskEachOther(t *testing.T) {
	backends(t, func(t *testing.T, url string) {
		a, b := open(t, redis.Options{URL: url}), open(t, redis.Options{URL: url})
		echo := func(from string, request []byte) []byte { return fmt.Appendf(nil, "%s to %s", request, from) }
		defer a.Serve(hub.NodeEvents{Answer: echo, Died: nobodyDied(t)})()
		defer b.Serve(hub.NodeEvents{Answer: echo, Died: nobodyDied(t)})()
		for n := range 50 {
			if answer, err := a.Ask(t.Context(), b.Node(), fmt.Append(nil,
				n)); err != nil || string(answer) != fmt.Sprintf("%d to %s", n, a.Node()) {
				t.Fatalf("%s, %v", answer, err)
			}
		}
		if !a.Alive(b.Node()) {
			t.Error("a node that serves is not alive")
		}
	})
}

func nobodyDied(t *testing.T) func(string, []string) bool {
	return func(node string, _ []string) bool { t.Errorf("%s is found dead", node); return true }
}

func TestDeadNode(t *testing.T) {
	url := startRedis(t).URL()
	const lease = 4 * time.Second // the machine may stall for two seconds
	a, b := open(t, redis.Options{URL: url, Lease: lease}), open(t, redis.Options{URL: url, Lease: lease})
	deaths := make(chan []string, 9)
	defer b.Serve(hub.NodeEvents{Died: func(node string, streams []string) bool { // the first time it fails
		deaths <- append(streams, node)
		return len(deaths) > 1
	}})()
	stop := a.Serve(hub.NodeEvents{Died: nobodyDied(t)})
	if _, _, err := a.AddStream(streamRecord("1", "x"), "", ""); err != nil {
		t.Fatal(err)
	}
	for begun := a.LastBeat(); a.LastBeat().Sub(begun) < lease+lease/4; time.Sleep(lease / 40) { // beats are that rare
		if !b.Alive(a.Node()) {
			t.Fatal("a node that beats is not alive")
		}
	}
	stop()
	hubtest.Until(t, "the node to be found dead, and once more because something had failed",
		func() bool { return len(deaths) == 2 })
	for range 2 {
		if got := <-deaths; !slices.Equal(got, []string{"1", a.Node()}) {
			t.Errorf("%v", got)
		}
	}
	if b.Alive(a.Node()) {
		t.Error("a node that has ended is alive")
	}
}
