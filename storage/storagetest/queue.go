package storagetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// noon is a time at which no test message has expired.
var noon = time.UnixMilli(1_800_000_000_000).UTC()

// wide are limits that no test reaches.
var wide = hub.QueueLimits{Messages: 1000, Bytes: 1 << 20}

type queueSuite struct {
	open   func(t testing.TB) hub.QueueStore
	reopen func(t testing.TB, s hub.QueueStore) hub.QueueStore
}

// Queue tests a hub.QueueStore. open returns an empty store; reopen returns the same store as after a restart.
func Queue(t *testing.T, open func(t testing.TB) hub.QueueStore,
	reopen func(t testing.TB, s hub.QueueStore) hub.QueueStore,
) {
	suite := queueSuite{open, reopen}
	t.Run("messages come back whole and in order", suite.order)
	t.Run("summaries", suite.summaries)
	t.Run("an id is accepted once", suite.duplicates)
	t.Run("an id is bound to its content", suite.conflicts)
	t.Run("acknowledging", suite.acknowledging)
	t.Run("expiring", suite.expiring)
	t.Run("a full queue refuses the whole batch", suite.fullQueue)
	t.Run("a page is bounded in bytes", suite.pageBytes)
	t.Run("concurrent publishers", func(t *testing.T) { concurrentPublishers(t, open(t)) })
	t.Run("like a simple model", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) { likeModel(t, rt, open(t), reopen) })
	})
}

func (suite queueSuite) order(t *testing.T) {
	s := suite.open(t)
	a, b := message("u", "a"), message("u", "b")
	b.ExpiresAt = a.ExpiresAt.Add(-time.Hour) // it must not expire before a
	if got := enqueue(t, s, a, b, message("v", "a"), message("u", "c")); !reflect.DeepEqual(got, []uint64{1, 2, 1, 3}) {
		t.Fatalf("offsets %v", got)
	}
	epoch := s.QueueEpoch()
	s = suite.reopen(t, s)
	if s.QueueEpoch() != epoch || epoch == "" || len(epoch) > 24 ||
		strings.Trim(epoch, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		t.Errorf("epoch %q, and then %q", epoch, s.QueueEpoch())
	}
	page := read(t, s, "u", 0, 10)
	if page.Head != 0 || page.Tail != 3 || page.Expired != 0 || len(page.Messages) != 3 {
		t.Fatalf("%+v", page)
	}
	a.Offset, b.Offset, b.ExpiresAt = 1, 2, a.ExpiresAt
	if !reflect.DeepEqual(page.Messages[0], a) || !reflect.DeepEqual(page.Messages[1], b) {
		t.Errorf("%+v\nwant %+v\nand %+v", page.Messages[:2], a, b)
	}
	if p := read(t, s, "u", 1, 1); len(p.Messages) != 1 || p.Messages[0].ID != "b" || p.Tail != 3 {
		t.Errorf("one after the first: %+v", p)
	}
	if p := read(t, s, "nobody", 0, 1); !reflect.DeepEqual(p, hub.QueuePage{}) {
		t.Errorf("of nobody: %+v", p)
	}
}

func (suite queueSuite) summaries(t *testing.T) {
	s := suite.open(t)
	if list, all, err := s.QueueSummaries(10); len(list) != 0 || all != (hub.QueueTotals{}) || err != nil {
		t.Errorf("of nothing: %v, %v, %v", list, all, err)
	}
	later := message("u", "b")
	later.QueuedAt, later.ExpiresAt = later.QueuedAt.Add(time.Second), later.ExpiresAt.Add(time.Second)
	enqueue(t, s, message("u", "a"), later, message("u", "c"), message("v", "a"), message("w", "a"), message("w", "b"),
		message("x", "a"))
	ack(t, s, "u", 1)
	ack(t, s, "x", 1)
	size := int64(len(later.Payload))
	want := []hub.QueueSummary{
		{User: "u", Messages: 2, Bytes: 2 * size, Oldest: later.QueuedAt},
		{User: "w", Messages: 2, Bytes: 2 * size, Oldest: noon},
		{User: "v", Messages: 1, Bytes: size, Oldest: noon},
	}
	total := hub.QueueTotals{Users: 3, Messages: 5, Bytes: 5 * size, Oldest: noon}
	for limit := range 4 {
		list, all, err := s.QueueSummaries(limit)
		if len(list) != limit || err != nil || all != total {
			t.Fatalf("%v, %v, %v", list, all, err)
		}
		for i := range list {
			if list[i] != want[i] {
				t.Errorf("%+v, want %+v", list[i], want[i])
			}
		}
	}
}

func (suite queueSuite) duplicates(t *testing.T) {
	s := suite.open(t)
	enqueue(t, s, message("u", "a"))
	other := message("u", "a")
	other.Sender = "another"
	unnamed := message("u", "a")
	unnamed.Named = false
	got := enqueue(t, s, message("u", "b"), message("u", "a"), message("u", "b"), message("v", "a"), other, unnamed)
	if !reflect.DeepEqual(got, []uint64{2, 1, 2, 1, 3, 4}) {
		t.Errorf("offsets %v", got)
	}
	ack(t, s, "u", 4)
	s = suite.reopen(t, s)
	late := message("u", "a")
	late.QueuedAt = noon.Add(9 * time.Minute)
	if got := enqueue(t, s, late); got[0] != 1 {
		t.Errorf("offset %d for one that was acknowledged", got[0])
	}
	if p := read(t, s, "u", 0, 10); len(p.Messages) != 0 {
		t.Errorf("%+v", p)
	}
}

func (suite queueSuite) conflicts(t *testing.T) {
	s := suite.open(t)
	enqueue(t, s, message("u", "a"), message("u", "b"))
	ack(t, s, "u", 1)
	s = suite.reopen(t, s)
	for _, id := range []string{"a", "b"} { // acknowledged, and waiting
		payload, event, topic := message("u", id), message("u", id), message("u", id)
		payload.Payload, event.Event, topic.Topic = json.RawMessage(`"other"`), "other", "other"
		for i, m := range []hub.StoredMessage{payload, event, topic} {
			var conflict *hub.IDConflictError
			_, err := s.Enqueue([]hub.StoredMessage{message("v", "new"), m}, wide)
			if !errors.As(err, &conflict) || conflict.Index != 1 {
				t.Errorf("%s %d: %v", id, i, err)
			}
		}
	}
	foreign, unnamed := message("u", "a"), message("u", "a")
	foreign.Sender, foreign.Payload = "another", json.RawMessage(`"other"`)
	unnamed.Named, unnamed.Payload = false, json.RawMessage(`"other"`)
	got := enqueue(t, s, message("u", "a"), message("u", "b"), foreign, unnamed, message("v", "new"))
	if !reflect.DeepEqual(got, []uint64{1, 2, 3, 4, 1}) {
		t.Errorf("offsets %v", got)
	}
}

func (suite queueSuite) acknowledging(t *testing.T) {
	s := suite.open(t)
	enqueue(t, s, message("u", "a"), message("u", "b"), message("u", "c"))
	ack(t, s, "u", 2)
	ack(t, s, "u", 1)
	if ahead, err := s.AckMessages("u", 4); !ahead || err != nil {
		t.Errorf("ahead: %t, %v", ahead, err)
	}
	if ahead, err := s.AckMessages("nobody", 1); !ahead || err != nil {
		t.Errorf("of nobody: %t, %v", ahead, err)
	}
	s = suite.reopen(t, s)
	if p := read(t, s, "u", 0, 10); p.Head != 2 || p.Tail != 3 || len(p.Messages) != 1 || p.Messages[0].ID != "c" {
		t.Errorf("%+v", p)
	}
	ack(t, s, "u", 3)
	s = suite.reopen(t, s)
	if got := enqueue(t, s, message("u", "d")); got[0] != 4 {
		t.Errorf("offset %d: no offset may be assigned twice", got[0])
	}
}

func (suite queueSuite) expiring(t *testing.T) {
	s := suite.open(t)
	for i, id := range []string{"a", "b", "c", "d"} {
		m := message("u", id)
		m.ExpiresAt = noon.Add(time.Duration(i+1) * time.Hour)
		enqueue(t, s, m)
	}
	enqueue(t, s, message("v", "a"))
	expire(t, s, "", noon.Add(time.Hour-time.Millisecond), 10, 0)
	expire(t, s, "v", noon.Add(3*time.Hour), 10, 0)
	expire(t, s, "", noon.Add(3*time.Hour), 2, 2)
	expire(t, s, "u", noon.Add(3*time.Hour), 10, 1)
	s = suite.reopen(t, s)
	if p := read(t, s, "u", 0, 10); p.Head != 3 || p.Expired != 3 || p.ExpiredThrough != 3 || len(p.Messages) != 1 {
		t.Errorf("%+v", p)
	}
	ack(t, s, "u", 2)
	if p := read(t, s, "u", 0, 10); p.Expired != 3 {
		t.Errorf("after an acknowledgement of less: %+v", p)
	}
	ack(t, s, "u", 3)
	if p := read(t, s, "u", 0, 10); p.Expired != 0 || p.ExpiredThrough != 0 || p.Head != 3 {
		t.Errorf("after the acknowledgement: %+v", p)
	}
}

func (suite queueSuite) fullQueue(t *testing.T) {
	s := suite.open(t)
	enqueue(t, s, message("u", "a"))
	refuse := func(limits hub.QueueLimits, name string, messages ...hub.StoredMessage) {
		t.Helper()
		_, err := s.Enqueue(messages, limits)
		if !errors.Is(err, errs.ErrQueueFull) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %s", err, name)
		}
	}
	refuse(hub.QueueLimits{Messages: 2, Bytes: 1000}, "queue_max", message("v", "x"), message("u", "b"),
		message("u", "c"))
	size := int64(len(message("u", "a").Payload))
	refuse(hub.QueueLimits{Messages: 9, Bytes: 2 * size}, "queue_bytes", message("v", "x"), message("u", "b"),
		message("u", "c"))
	if p := read(t, s, "v", 0, 9); len(p.Messages) > 0 {
		t.Errorf("v was given %+v", p.Messages)
	}
	if p := read(t, s, "u", 0, 9); len(p.Messages) != 1 {
		t.Errorf("u was given %+v", p.Messages)
	}
	late := message("u", "b")
	late.QueuedAt = message("u", "a").ExpiresAt // a has expired by then
	late.ExpiresAt = late.QueuedAt.Add(time.Hour)
	if got, err := s.Enqueue([]hub.StoredMessage{late, message("v", "x")},
		hub.QueueLimits{Messages: 1, Bytes: size}); err != nil || got[0] != 2 {
		t.Errorf("%v, %v", got, err)
	}
	if p := read(t, s, "u", 0, 9); p.Expired != 1 || len(p.Messages) != 1 {
		t.Errorf("%+v", p)
	}
}

func (suite queueSuite) pageBytes(t *testing.T) {
	s := suite.open(t)
	for range 4 {
		m := message("u", "")
		m.Named, m.Payload = false, json.RawMessage(`"`+strings.Repeat("x", hub.PageBytes*2/3)+`"`)
		if _, err := s.Enqueue([]hub.StoredMessage{m}, hub.QueueLimits{Messages: 9, Bytes: 1 << 30}); err != nil {
			t.Fatal(err)
		}
	}
	if p := read(t, s, "u", 0, 9); len(p.Messages) != 2 || p.Tail != 4 {
		t.Errorf("%d messages", len(p.Messages))
	}
}

// concurrentPublishers checks that messages of concurrent publishers get the offsets that were returned.
func concurrentPublishers(t *testing.T, s hub.QueueStore) {
	const publishers, each = 8, 25
	var work sync.WaitGroup
	for p := range publishers {
		work.Go(func() {
			last := uint64(0)
			for n := range each {
				m := message("u", fmt.Sprintf("%d.%d", p, n))
				offsets, err := s.Enqueue([]hub.StoredMessage{m}, wide)
				if err != nil || offsets[0] <= last {
					t.Errorf("%v after %d, %v", offsets, last, err)
					return
				}
				last = offsets[0]
			}
		})
	}
	work.Wait()
	if p := read(t, s, "u", 0, 1000); len(p.Messages) != publishers*each || p.Tail != publishers*each {
		t.Errorf("%d messages, tail %d", len(p.Messages), p.Tail)
	}
}

func message(user, id string) hub.StoredMessage {
	return hub.StoredMessage{
		User: user, ID: id, Named: true, Sender: "s", Topic: "code:file:x", Event: "e",
		Payload:  json.RawMessage(`{"of":"` + id + `"}`),
		QueuedAt: noon, ExpiresAt: noon.Add(24 * time.Hour),
	}
}

func enqueue(t testing.TB, s hub.QueueStore, messages ...hub.StoredMessage) []uint64 {
	t.Helper()
	offsets, err := s.Enqueue(messages, wide)
	if err != nil {
		t.Fatal(err)
	}
	return offsets
}

func read(t testing.TB, s hub.QueueStore, user string, after uint64, limit int) hub.QueuePage {
	t.Helper()
	page, err := s.Messages(user, after, limit)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func ack(t testing.TB, s hub.QueueStore, user string, through uint64) {
	t.Helper()
	if ahead, err := s.AckMessages(user, through); ahead || err != nil {
		t.Fatal(ahead, err)
	}
}

func expire(t testing.TB, s hub.QueueStore, user string, now time.Time, limit, want int) {
	t.Helper()
	if n, err := s.ExpireMessages(user, now, limit); n != want || err != nil {
		t.Errorf("%d expired, %v; want %d", n, err, want)
	}
}
