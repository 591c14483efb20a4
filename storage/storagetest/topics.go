package storagetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

var topicLimits = hub.TopicLimits{
	Events: 100, Bytes: 1 << 20, TTL: time.Hour, Ephemerals: 10, EphemeralTTL: time.Minute,
}

type topicSuite struct {
	open func(t testing.TB) hub.TopicStore
}

// Topics tests a hub.TopicStore. open returns the store of one node, with unused topics.
func Topics(t *testing.T, open func(t testing.TB) hub.TopicStore) {
	suite := topicSuite{open}
	t.Run("events come back whole and in order", suite.order)
	t.Run("an id is accepted once", suite.duplicates)
	t.Run("an id is bound to its content", suite.conflicts)
	t.Run("the oldest events are dropped", suite.retention)
	t.Run("large topics come in pages", suite.pages)
	t.Run("ephemeral events", suite.ephemerals)
	t.Run("a follower gets everything once", followTopic(open))
}

func (suite topicSuite) order(t *testing.T) {
	s := suite.open(t)
	empty := topicEvents(t, s, "t", "", 0)
	place := log.Vector{{Epoch: empty.Epoch, Offset: 7}}
	if again, err := log.ParseVector(string(place.Append(nil)), 1); err != nil || again[0] != place[0] {
		t.Errorf("%v comes back from the text of a vector as %v, %v", place, again, err)
	}
	if empty.Epoch == "" || empty.Tail != 0 || empty.First != 1 || len(empty.Events) != 0 {
		t.Errorf("an unused topic: %+v", empty)
	}
	binary := event("b")
	binary.Payload, binary.Bytes, binary.Except = nil, []byte{0, 1, 255}, "client"
	all := []hub.SharedEvent{event("a"), binary, event("c")}
	positions := appendEvents(t, s, "t", topicLimits, all...)
	for i, p := range positions {
		if p != (log.Position{Epoch: empty.Epoch, Offset: uint64(i) + 1}) {
			t.Errorf("place %d: %v of %s", i, p, empty.Epoch)
		}
	}
	for _, c := range []struct {
		epoch string
		after uint64
		want  []hub.SharedEvent
	}{
		{"", 0, all},
		{empty.Epoch, 0, all},
		{empty.Epoch, 1, all[1:]},
		{empty.Epoch, 3, nil},
		{"another", 2, all},
		{empty.Epoch, 9, all},
	} {
		if p := topicEvents(t, s, "t", c.epoch, c.after); !reflect.DeepEqual(p.Events, c.want) || p.Tail != 3 ||
			p.Base != 0 || p.First != 4-uint64(len(c.want)) {
			t.Errorf("after %d of %q: %+v", c.after, c.epoch, p)
		}
	}
	if p := topicEvents(t, s, "another", "", 0); len(p.Events) != 0 || p.Epoch == empty.Epoch {
		t.Errorf("another topic: %+v", p)
	}
}

func (suite topicSuite) duplicates(t *testing.T) {
	s := suite.open(t)
	other := named("a")
	other.Sender = "another"
	positions := appendEvents(t, s, "t", topicLimits, named("a"), named("b"), named("a"), other, event("a"))
	positions = append(positions, appendEvents(t, s, "t", topicLimits, named("b"), named("c"))...)
	var got []uint64
	for _, p := range positions {
		got = append(got, p.Offset)
	}
	if !reflect.DeepEqual(got, []uint64{1, 2, 1, 3, 4, 2, 5}) {
		t.Errorf("offsets %v", got)
	}
}

func (suite topicSuite) conflicts(t *testing.T) {
	s := suite.open(t)
	appendEvents(t, s, "t", topicLimits, event("x"), named("a"))
	other := named("a")
	other.Digest = "other"
	batch := []hub.SharedEvent{event("y"), named("b"), other}
	_, err := s.AppendEvents("t", batch, topicLimits)
	for _, err := range []error{err, s.CheckIDs("t", batch)} {
		var conflict *hub.IDConflictError
		if !errors.As(err, &conflict) || conflict.Index != 2 {
			t.Error(err)
		}
	}
	again := named("a")
	again.Payload = json.RawMessage(`1`) // only the digest counts
	foreign := other
	foreign.Sender = "another"
	ok := []hub.SharedEvent{again, foreign, event("a"), named("b")}
	if err := s.CheckIDs("t", ok); err != nil {
		t.Error(err)
	}
	positions := appendEvents(t, s, "t", topicLimits, ok...) // nothing of the refused batch was stored
	for i, want := range []uint64{2, 3, 4, 5} {
		if positions[i].Offset != want {
			t.Errorf("offset %d of event %d, want %d", positions[i].Offset, i, want)
		}
	}
	few := topicLimits
	few.Events = 1
	appendEvents(t, s, "t", few, event("z"))
	if got := appendEvents(t, s, "t", topicLimits, other); got[0].Offset != 7 { // "a" is not retained
		t.Errorf("a forgotten id is at %v", got)
	}
}

func (suite topicSuite) retention(t *testing.T) {
	s := suite.open(t)
	limits := topicLimits
	limits.Events = 3
	for n := range 50 {
		appendEvents(t, s, "t", limits, named(fmt.Sprint(n)))
	}
	if p := topicEvents(t, s, "t", "", 0); p.Base != 47 || p.Tail != 50 || p.First != 48 || len(p.Events) != 3 ||
		p.Events[0].ID != "47" {
		t.Errorf("%+v", p)
	}
	if p := appendEvents(t, s, "t", limits, named("49"), named("0")); p[0].Offset != 50 || p[1].Offset != 51 {
		t.Errorf("an id that is kept, and one that is not: %v", p)
	}
	limits = topicLimits
	limits.Bytes = 1000
	big := event("big")
	big.Payload = json.RawMessage(`"` + string(make600()) + `"`)
	appendEvents(t, s, "t", limits, big, big, big)
	if p := topicEvents(t, s, "t", "", 0); len(p.Events) > 1 {
		t.Errorf("%d events of 600 bytes in 1,000", len(p.Events))
	}
}

func (suite topicSuite) pages(t *testing.T) {
	s := suite.open(t)
	big := event("big")
	big.Payload = json.RawMessage(`"` + string(make600()) + `"`)
	limits := topicLimits
	limits.Events = 2000
	for range 20 {
		batch := make([]hub.SharedEvent, 50)
		for i := range batch {
			batch[i] = big
		}
		appendEvents(t, s, "t", limits, batch...)
	}
	epoch, after, pages := "", uint64(0), 0
	for {
		p := topicEvents(t, s, "t", epoch, after)
		if p.First != after+1 {
			t.Fatalf("page %d begins at %d, after %d", pages, p.First, after)
		}
		epoch, after, pages = p.Epoch, after+uint64(len(p.Events)), pages+1
		if after == p.Tail {
			break
		}
	}
	if after != 1000 || pages < 2 {
		t.Errorf("%d events in %d pages", after, pages)
	}
}

func (suite topicSuite) ephemerals(t *testing.T) {
	s := suite.open(t)
	first, second, cursor := ephemeral("cursor", 1), ephemeral("cursor", 2), ephemeral("typing", 3)
	positions := appendEvents(t, s, "t", topicLimits, first, event("a"), second)
	appendEvents(t, s, "t", topicLimits, cursor)
	if positions[0] != (log.Position{}) || positions[1].Offset != 1 || positions[2] != (log.Position{}) {
		t.Errorf("%v", positions)
	}
	p := topicEvents(t, s, "t", "", 0)
	if p.Tail != 1 || !reflect.DeepEqual(p.Ephemerals, []hub.SharedEvent{second, cursor}) {
		t.Errorf("%+v", p)
	}
	if p := topicEvents(t, s, "t", p.Epoch, 1); len(p.Events) > 0 || len(p.Ephemerals) != 2 {
		t.Errorf("after a gap without stored events: %+v", p)
	}
	for n := range 30 {
		appendEvents(t, s, "t", topicLimits, ephemeral(fmt.Sprint("e", n), n))
	}
	if p := topicEvents(t, s, "t", "", 0); len(p.Ephemerals) > topicLimits.Ephemerals ||
		p.Ephemerals[len(p.Ephemerals)-1].Event != "e29" {
		t.Errorf("%d are kept: %+v", len(p.Ephemerals), p.Ephemerals)
	}
}

// followTopic appends to one topic concurrently, while a reader follows it as a mirror does.
func followTopic(open func(t testing.TB) hub.TopicStore) func(t *testing.T) {
	return func(t *testing.T) {
		const publishers, each = 8, 50
		s := open(t)
		var mu sync.Mutex
		var batches []hub.EventBatch
		subscribed, all := make(chan struct{}, 1), make(chan struct{})
		count := 0
		stop := s.FollowTopic("t", func(b hub.EventBatch) {
			mu.Lock()
			defer mu.Unlock()
			batches = append(batches, b)
			if count += len(b.Events); count == publishers*each*2 {
				close(all)
			}
		}, func() {
			select {
			case subscribed <- struct{}{}:
			default:
			}
		})
		defer stop()
		<-subscribed
		var work sync.WaitGroup
		for p := range publishers {
			work.Go(func() {
				for n := range each {
					id := fmt.Sprintf("%d.%d", p, n)
					limits := topicLimits
					limits.Events = publishers * each
					events := []hub.SharedEvent{named(id), ephemeral("cursor", n), named(id)}
					positions, err := s.AppendEvents("t", events, limits)
					if err != nil || positions[0] != positions[2] {
						t.Errorf("%v, %v", positions, err)
						return
					}
				}
			})
		}
		work.Wait()
		<-all
		mu.Lock()
		defer mu.Unlock()
		next := uint64(1)
		for _, b := range batches {
			if b.First != next || len(b.Events) != 2 || b.Events[0].Ephemeral || !b.Events[1].Ephemeral {
				t.Fatalf("%+v, expected %d", b, next)
			}
			next++
		}
		if p := topicEvents(t, s, "t", "", 0); p.Tail != publishers*each || p.Epoch != batches[0].Epoch {
			t.Errorf("tail %d of %s", p.Tail, p.Epoch)
		}
	}
}

func make600() []byte {
	b := make([]byte, 600)
	for i := range b {
		b[i] = 'x'
	}
	return b
}

func event(id string) hub.SharedEvent {
	return hub.SharedEvent{
		ID: id, Sender: "s", Event: "e", Payload: json.RawMessage(`{"of":"` + id + `"}`),
		Millis: time.Now().UnixMilli(),
	}
}

func named(id string) hub.SharedEvent {
	e := event(id)
	e.Named, e.Digest = true, id
	return e
}

func ephemeral(name string, n int) hub.SharedEvent {
	return hub.SharedEvent{
		ID: "x", Sender: "s", Event: name, Payload: json.RawMessage(fmt.Sprint(n)), Ephemeral: true,
		Millis: time.Now().UnixMilli(),
	}
}

func appendEvents(t testing.TB, s hub.TopicStore, topic string, limits hub.TopicLimits,
	events ...hub.SharedEvent,
) []log.Position {
	t.Helper()
	positions, err := s.AppendEvents(topic, events, limits)
	if err != nil {
		t.Fatal(err)
	}
	return positions
}

func topicEvents(t testing.TB, s hub.TopicStore, topic, epoch string, after uint64) hub.TopicPage {
	t.Helper()
	p, err := s.Events(topic, epoch, after)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
