package redis_test

import (
	"errors"
	"slices"
	"strconv"
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

func TestQueue(t *testing.T) {
	backends(t, func(t *testing.T, url string) {
		storagetest.Queue(t,
			func(t testing.TB) hub.QueueStore {
				s := open(t, redis.Options{URL: url})
				if err := s.Forget(); err != nil {
					t.Fatal(err)
				}
				s.Close()
				return open(t, redis.Options{URL: url})
			},
			func(t testing.TB, _ hub.QueueStore) hub.QueueStore { return open(t, redis.Options{URL: url}) })
	})
}

// queueReader is one session that reads its queue.
type queueReader struct {
	t      testing.TB
	reader *hub.QueueReader
	wake   *log.Wake
	got    []string // names of events
	last   log.Position
}

func readQueue(t testing.TB, n *node) *queueReader {
	r := &queueReader{t: t, wake: log.NewWake()}
	hubtest.Until(t, "a queue to be read", func() bool {
		var err error
		r.reader, _, err = n.ReadQueue("ada", log.Position{}, r.wake)
		if err != nil && !errors.Is(err, errs.ErrUnavailable) {
			t.Fatal(err)
		}
		return err == nil
	})
	t.Cleanup(r.reader.Close)
	return r
}

func (r *queueReader) until(names ...string) {
	r.t.Helper()
	late := time.NewTimer(hubtest.Hung)
	defer late.Stop()
	for !slices.Equal(r.got, names) {
		items, _ := r.reader.Read(nil)
		for i := range items {
			r.got = append(r.got, items[i].Event.Name)
			r.last = r.reader.Position()
		}
		if len(items) > 0 {
			continue
		}
		select {
		case <-r.wake.C:
		case <-late.C:
			r.t.Fatalf("got %v, want %v", r.got, names)
		}
	}
}

func leave(t testing.TB, n *node, name string) {
	t.Helper()
	hubtest.Until(t, "a message to be taken", func() bool {
		_, err := n.Enqueue("bob", []hub.MessageInput{{User: "ada", ID: name, Event: name, Payload: []byte(`{}`)}})
		if err != nil && !errors.Is(err, errs.ErrUnavailable) {
			t.Fatal(err)
		}
		return err == nil
	})
}

func TestQueueOverNodes(t *testing.T) {
	server := startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	a, b := startNode(t, server), startNode(t, server)
	leave(t, a, "before")
	here, there := readQueue(t, a), readQueue(t, b)
	leave(t, a, "one")
	leave(t, b, "two")
	leave(t, b, "two") // again
	for _, r := range []*queueReader{here, there} {
		r.until("before", "one", "two")
	}
	if err := b.AckMessages("ada", there.last); err != nil {
		t.Fatal(err)
	}
	late := readQueue(t, a)
	server.Kill()
	server.Start()
	leave(t, a, "three")
	late.until("three")
	// after the restart, waiting messages are delivered again; here there are none
	for _, r := range []*queueReader{here, there} {
		r.until("before", "one", "two", "three")
	}
}

// TestQueueReadAfterAck checks that a message acknowledged on one node is not delivered on another that learns of it
// late.
func TestQueueReadAfterAck(t *testing.T) {
	server := startRedis(t)
	a, b := startNode(t, server), startNode(t, server)
	var names []string
	here, there := readQueue(t, a), readQueue(t, b) // both nodes mirror the queue
	for i := range 50 {
		names = append(names, strconv.Itoa(i))
		leave(t, a, names[i])
		here.until(names...)
		there.until(names...)
		if err := b.AckMessages("ada", there.last); err != nil {
			t.Fatal(err)
		}
		late, _, err := a.ReadQueue("ada", log.Position{}, log.NewWake())
		if err != nil {
			t.Fatal(err)
		}
		if items, _ := late.Read(nil); len(items) > 0 {
			t.Fatalf("%s was acknowledged", items[0].Event.Name)
		}
		late.Close()
	}
}

// TestQueueForgotten restarts a Redis without persistence: waiting messages are lost, readers continue with new ones,
// and no old position refers to a new message.
func TestQueueForgotten(t *testing.T) {
	server := startRedis(t)
	a, b := startNode(t, server), startNode(t, server)
	leave(t, a, "one")
	r := readQueue(t, b)
	r.until("one")
	before := r.last
	server.Kill()
	server.Start()
	leave(t, a, "two")
	r.until("one", "two")
	if r.last.Epoch == before.Epoch {
		t.Errorf("%v and %v are of one epoch", before, r.last)
	}
	var err error
	hubtest.Until(t, "an acknowledgement to reach Redis", func() bool {
		err = a.AckMessages("ada", before)
		return !errors.Is(err, errs.ErrUnavailable)
	})
	if !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("a position of before: %v", err)
	}
}

// TestDurableEventOverNodes checks that a durable event is queued only for users who read its topic on no node.
func TestDurableEventOverNodes(t *testing.T) {
	server := startRedis(t)
	a, b := startNode(t, server), startNode(t, server)
	wake := log.NewWake()
	r, _, err := b.Subscribe("t", log.Position{Now: true}, wake)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.ReadFor("ada")
	if _, err := a.Publish("t", "bob", []hub.EventInput{{
		Event: "e", Payload: []byte(`{}`), Durable: true,
		To: []string{"ada", "eve"},
	}}); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]int{"ada": 0, "eve": 1} {
		page, err := a.store.Messages(user, 0, 10)
		if err != nil || len(page.Messages) != want {
			t.Errorf("%s: %d messages wait, %v; want %d", user, len(page.Messages), err, want)
		}
	}
}

// TestResultOverNodes checks that a completion's result is queued if its requester has no session on any node.
func TestResultOverNodes(t *testing.T) {
	server := startRedis(t)
	a, b := startNode(t, server), startNode(t, server)
	leave := b.EnterSession("ada", hub.ViaSSE)
	s, _ := a.ask(t, "3", hub.StreamSpec{ID: "seen"})
	<-s.Done()
	other, _ := a.ask(t, "3", hub.StreamSpec{ID: "others", Owner: "eve"}) // results are processed one after the other
	<-other.Done()
	hubtest.Until(t, "the first result to be looked at", func() bool {
		page, err := a.store.Messages("eve", 0, 10)
		return err == nil && len(page.Messages) > 0
	})
	leave()
	s, _ = a.ask(t, "4", hub.StreamSpec{ID: "missed"})
	<-s.Done()
	var page hub.QueuePage
	hubtest.Until(t, "a result to be left", func() bool {
		var err error
		page, err = a.store.Messages("ada", 0, 10)
		return err == nil && len(page.Messages) > 0
	})
	if len(page.Messages) != 1 || !strings.HasPrefix(page.Messages[0].ID, "missed.") {
		t.Errorf("%+v", page.Messages)
	}
}
