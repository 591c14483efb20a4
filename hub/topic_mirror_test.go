package hub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/memory"
)

// nodes are hubs that share their topics.
func nodes(t *testing.T, n int, store hub.TopicStore, limits hub.Limits) []*hub.Hub {
	all := make([]*hub.Hub, n)
	for i := range all {
		all[i] = hub.New(hub.Options{Topics: store, Limits: limits})
		t.Cleanup(all[i].Close)
	}
	return all
}

// numbersOf reads n events, and returns their payloads.
func numbersOf(t *testing.T, r *hub.TopicReader, wake *log.Wake, n int) (got []string) {
	t.Helper()
	for len(got) < n {
		items, reset := r.Read(nil)
		if reset != nil {
			got = append(got, "reset "+string(reset.Reason))
		}
		for i := range items {
			got = append(got, string(items[i].Event.Payload()))
			if items[i].To > 0 {
				var envelope struct{ Position string }
				want := log.Position{Epoch: r.Epoch(), Offset: items[i].To}.String()
				if err := json.Unmarshal(items[i].Event.Data, &envelope); err != nil || envelope.Position != want {
					t.Errorf("%s stands at %d of %s", items[i].Event.Data, items[i].To, r.Epoch())
				}
			}
		}
		if len(items) == 0 && reset == nil {
			<-wake.C
		}
	}
	return got
}

func publish(t *testing.T, h *hub.Hub, topic string, in ...hub.EventInput) []hub.Published {
	t.Helper()
	out, err := h.Publish(topic, "sender", in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func number(n int) hub.EventInput {
	return hub.EventInput{Event: "n", Payload: json.RawMessage(fmt.Sprint(n))}
}

// What is published on one node is read on all nodes, from any position that another node has returned.
func TestTopicsOfSeveralNodes(t *testing.T) {
	all := nodes(t, 3, memory.NewTopics(), hub.Limits{})
	wakeA, wakeB := log.NewWake(), log.NewWake()
	a, _, err := all[0].Subscribe("t", log.Position{Now: true}, wakeA)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	one := hub.EventInput{ID: "one", Event: "n", Payload: json.RawMessage("1")}
	out := publish(t, all[1], "t", number(0), one, number(2))
	again := publish(t, all[2], "t", one, number(3))
	if again[0].Position != out[1].Position || again[0].ID != "one" {
		t.Errorf("an id is known on one node only: %+v, %+v", out[1], again[0])
	}
	if got := fmt.Sprint(numbersOf(t, a, wakeA, 4)); got != "[0 1 2 3]" {
		t.Error(got)
	}
	from, err := log.ParsePosition(out[1].Position)
	if err != nil {
		t.Fatal(err)
	}
	b, reset, err := all[2].Subscribe("t", from, wakeB)
	if err != nil || reset != nil {
		t.Fatal(reset, err)
	}
	defer b.Close()
	publish(t, all[0], "t", hub.EventInput{Event: "cursor", Payload: json.RawMessage("4"), Ephemeral: true}, number(5))
	if got := fmt.Sprint(numbersOf(t, b, wakeB, 4)); got != "[2 3 5 4]" {
		t.Error(got)
	}
	late, _, err := all[1].Subscribe("t", log.Position{Now: true}, wakeB)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if got := fmt.Sprint(numbersOf(t, late, wakeB, 1)); got != "[4]" {
		t.Errorf("what is current does not come to a late one: %s", got)
	}
}

// No event is lost that is published while a topic's load ends.
func TestHeardWhileTheLoadingEnds(t *testing.T) {
	all := nodes(t, 2, memory.NewTopics(), hub.Limits{Topics: 10_000})
	for n := range 3000 {
		topic, wake := fmt.Sprint("t", n), log.NewWake()
		r, _, err := all[0].Subscribe(topic, log.Position{}, wake)
		if err != nil {
			t.Fatal(err)
		}
		publish(t, all[1], topic, hub.EventInput{Event: "cursor", Payload: json.RawMessage("1"), Ephemeral: true})
		if got := fmt.Sprint(numbersOf(t, r, wake, 1)); got != "[1]" {
			t.Fatal(got)
		}
		r.Close()
	}
}

// slowPages is a store that begins a new epoch, and then returns small pages, each of them only when the test allows
// it.
type slowPages struct {
	hub.TopicStore
	gap   func()
	epoch atomic.Pointer[string] // the new one
	may   chan struct{}
}

func (s *slowPages) FollowTopic(topic string, heard func(hub.EventBatch), gap func()) (stop func()) {
	s.gap = gap
	return s.TopicStore.FollowTopic(topic, heard, gap)
}

func (s *slowPages) Events(topic, epoch string, after uint64) (hub.TopicPage, error) {
	to := s.epoch.Load()
	if to == nil {
		return s.TopicStore.Events(topic, epoch, after)
	}
	<-s.may
	if epoch != *to {
		after = 0
	}
	page, err := s.TopicStore.Events(topic, "", 0)
	page.Before = []log.Position{{Epoch: page.Epoch, Offset: page.Tail}}
	page.Epoch, page.First = *to, after+1
	page.Events = page.Events[after:min(after+10, page.Tail)]
	return page, err
}

// A topic whose store has begun a new epoch is replaced as a whole: readers continue at their positions, and a new
// reader does not begin in the past.
func TestNewEpochInManyPages(t *testing.T) {
	store := &slowPages{TopicStore: memory.NewTopics(), may: make(chan struct{})}
	h := nodes(t, 1, store, hub.Limits{})[0]
	wake := log.NewWake()
	r, _, err := h.Subscribe("t", log.Position{}, wake)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for n := range 50 {
		publish(t, h, "t", number(n))
	}
	numbersOf(t, r, wake, 50)
	store.epoch.Store(new("new-1"))
	store.gap()
	var now []*hub.TopicReader
	for page := range 5 {
		if items, reset := r.Read(nil); len(items) > 0 || reset != nil {
			t.Errorf("after %d pages: %d items, %v", page, len(items), reset)
		}
		n, _, err := h.Subscribe("t", log.Position{Now: true}, log.NewWake())
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		now = append(now, n)
		store.may <- struct{}{}
		time.Sleep(time.Millisecond) // otherwise the page arrives too late to do harm
	}
	for r.Epoch() != "new-1" {
		<-wake.C
		if items, reset := r.Read(nil); len(items) > 0 || reset != nil {
			t.Errorf("afterwards: %d items, %v", len(items), reset)
		}
	}
	for page, n := range now {
		if items, reset := n.Read(nil); len(items) > 0 || reset != nil {
			t.Errorf("who began after %d pages is told %d events of before, %v", page, len(items), reset)
		}
	}
}

// countingPages counts reads of the store, and stores the functions that follow it.
type countingPages struct {
	hub.TopicStore
	asked atomic.Int64
	heard func(hub.EventBatch)
}

func (s *countingPages) FollowTopic(topic string, heard func(hub.EventBatch), gap func()) (stop func()) {
	s.heard = heard
	return s.TopicStore.FollowTopic(topic, heard, gap)
}

func (s *countingPages) Events(topic, epoch string, after uint64) (hub.TopicPage, error) {
	s.asked.Add(1)
	return s.TopicStore.Events(topic, epoch, after)
}

// A batch of an earlier epoch, the last one published before a failover, never joins. It costs one read of the store,
// and a reader whose position may be of that epoch is served.
func TestLateBatchOfAnEarlierEpoch(t *testing.T) {
	store := &countingPages{TopicStore: memory.NewTopics()}
	h := nodes(t, 1, store, hub.Limits{})[0]
	wake := log.NewWake()
	r, _, err := h.Subscribe("t", log.Position{}, wake)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	publish(t, h, "t", number(1))
	numbersOf(t, r, wake, 1)
	before := store.asked.Load()
	for range 3 {
		store.heard(hub.EventBatch{
			Epoch: "old-1", First: 7, Events: []hub.SharedEvent{{ID: "x", Event: "n", Payload: json.RawMessage("7")}},
		})
	}
	other, reset, err := h.Subscribe("t", log.Position{Epoch: "other-1", Offset: 3}, log.NewWake())
	if err != nil || reset == nil {
		t.Fatalf("a reader with an unknown position: %v, %v", reset, err)
	}
	defer other.Close()
	publish(t, h, "t", number(2))
	if got := fmt.Sprint(numbersOf(t, r, wake, 1)); got != "[2]" {
		t.Error(got)
	}
	if n := store.asked.Load() - before; n > 8 { // one for each late batch, one for the reader, and what is in between
		t.Errorf("the store was asked %d times", n)
	}
}

// growingPages is a store to which events are appended after the next read.
type growingPages struct {
	hub.TopicStore
	grow func()
}

func (s *growingPages) Events(topic, epoch string, after uint64) (hub.TopicPage, error) {
	page, err := s.TopicStore.Events(topic, epoch, after)
	if grow := s.grow; grow != nil {
		s.grow = nil
		grow()
	}
	return page, err
}

// A load of a log that grows meanwhile ends at the new tail, where the store has the ephemeral events.
func TestLogGrowsWhileItIsLoaded(t *testing.T) {
	store := &growingPages{TopicStore: memory.NewTopics()}
	h := nodes(t, 1, store, hub.Limits{})[0]
	half := json.RawMessage(`"` + strings.Repeat("x", hub.PageBytes/2) + `"`) // so a page has two events
	cursor := hub.SharedEvent{
		ID: "c", Event: "cursor", Payload: json.RawMessage("1"), Ephemeral: true, Millis: time.Now().UnixMilli(),
	}
	add := func(events ...hub.SharedEvent) {
		limits := hub.TopicLimits{
			Events: 100, Bytes: 1 << 30, TTL: time.Hour, Ephemerals: 10, EphemeralTTL: time.Minute,
		}
		if _, err := store.AppendEvents("t", events, limits); err != nil {
			t.Fatal(err)
		}
	}
	e := hub.SharedEvent{ID: "e", Event: "e", Payload: half, Millis: time.Now().UnixMilli()}
	add(cursor, e, e, e)
	store.grow = func() { add(e, e, e) }
	r, _, err := h.Subscribe("t", log.Position{Now: true}, log.NewWake())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	items, reset := r.Read(nil)
	if reset != nil || len(items) != 1 || string(items[0].Event.Payload()) != "1" {
		t.Errorf("%d items, %v, expected the ephemeral event", len(items), reset)
	}
}
