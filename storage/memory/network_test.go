package memory_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/memory"
)

// ear hears a topic, and writes down what: numbers, and gap.
type ear struct {
	mu    sync.Mutex
	heard []string
}

func (e *ear) hear(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, what)
}

func (e *ear) listen(n *memory.Node) (stop func()) {
	return n.FollowTopic("t", func(b hub.EventBatch) {
		for _, event := range b.Events {
			e.hear(string(event.Payload))
		}
	}, func() { e.hear("gap") })
}

func (e *ear) wants(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if fmt.Sprint(e.heard) != fmt.Sprint(want) {
		t.Errorf("heard %v, want %v", e.heard, want)
	}
	e.heard = nil
}

var room = hub.TopicLimits{Events: 100, Bytes: 1 << 20, TTL: time.Hour, Ephemerals: 9, EphemeralTTL: time.Minute}

func say(n *memory.Node, number int) (log.Position, error) {
	text := fmt.Sprint(number)
	places, err := n.AppendEvents("t", []hub.SharedEvent{{ID: text, Event: "n", Payload: json.RawMessage(text)}}, room)
	if err != nil {
		return log.Position{}, err
	}
	return places[0], nil
}

// bubble runs a test with two nodes, one of which hears the topic.
func bubble(
	t *testing.T, o memory.ClusterOptions, test func(t *testing.T, c *memory.Cluster, a, b *memory.Node, e *ear),
) {
	synctest.Test(t, func(t *testing.T) {
		c, e := memory.NewCluster(o), &ear{}
		a, b := c.Node("a"), c.Node("b")
		defer a.Close()
		defer b.Close()
		defer e.listen(b)()
		e.wants(t, "gap")
		test(t, c, a, b, e)
	})
}

func TestMessagesAreLostWithTheirConnection(t *testing.T) {
	bubble(t, memory.ClusterOptions{}, func(t *testing.T, c *memory.Cluster, a, b *memory.Node, e *ear) {
		for _, cut := range []func(){b.Cut, b.Deafen} {
			cut()
			if _, err := say(a, 1); err != nil {
				t.Error(err)
			}
			e.wants(t)
			b.Mend()
			e.wants(t, "gap")
			_, _ = say(a, 2)
			e.wants(t, "2")
		}
		b.Cut()
		if _, err := b.Events("t", "", 0); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("a node that is cut off reads: %v", err)
		}
		b.Deafen()
		b.Mend()
		if page, err := b.Events("t", "", 0); err != nil || page.Tail != 4 {
			t.Errorf("%+v, %v", page, err)
		}
	})
}

func TestMessagesComeLateAndTwice(t *testing.T) {
	fate := memory.Delivery{After: time.Second, Twice: true}
	o := memory.ClusterOptions{Message: func(node, channel string) memory.Delivery { return fate }}
	bubble(t, o, func(t *testing.T, c *memory.Cluster, a, b *memory.Node, e *ear) {
		_, _ = say(a, 1)
		fate = memory.Delivery{}
		_, _ = say(a, 2)
		e.wants(t)
		time.Sleep(time.Second)
		e.wants(t, "1", "1", "2")
		b.Pause()
		_, _ = say(a, 3)
		e.wants(t)
		b.Resume()
		e.wants(t, "3")
	})
}

func TestCommandsFail(t *testing.T) {
	var fate memory.Fate
	o := memory.ClusterOptions{Command: func(node, command string) memory.Fate { return fate }}
	bubble(t, o, func(t *testing.T, c *memory.Cluster, a, b *memory.Node, e *ear) {
		fate.Refused = true
		if _, err := say(a, 1); !errors.Is(err, errs.ErrUnavailable) {
			t.Error(err)
		}
		e.wants(t)
		fate = memory.Fate{Lost: true}
		if _, err := say(a, 2); !errors.Is(err, errs.ErrUnavailable) {
			t.Error(err)
		}
		e.wants(t, "2")
		fate = memory.Fate{Before: time.Second, After: time.Second}
		begun := time.Now()
		if _, err := say(a, 3); err != nil || time.Since(begun) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		go func() { time.Sleep(1500 * time.Millisecond); a.Cut() }()
		if _, err := say(a, 4); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("an answer over a line that was cut: %v", err)
		}
		e.wants(t, "3", "4")
	})
}

// A store that may have gone back begins new epochs, and says up to where the ones before are the same.
func TestStoreGoesBack(t *testing.T) {
	bubble(t, memory.ClusterOptions{}, func(t *testing.T, c *memory.Cluster, a, b *memory.Node, e *ear) {
		begin := func(start func(), want uint64, lives int) hub.TopicPage {
			t.Helper()
			before, queue := a.QueueEpoch(), ""
			synctest.Wait()
			c.Stop()
			if _, err := say(a, 1); !errors.Is(err, errs.ErrUnavailable) {
				t.Error(err)
			}
			start()
			page, err := a.Events("t", "", 0)
			if err != nil || page.Tail != want || len(page.Before) != lives {
				t.Errorf("%+v, %v; want %d events, %d lives", page, err, want, lives)
			}
			_, _ = a.Messages("u", 0, 1)
			if queue = a.QueueEpoch(); queue == before {
				t.Error("the epoch of queues is the one before")
			}
			return page
		}
		first, _ := say(a, 1)
		page := begin(c.Start, 1, 1)
		if page.Epoch == first.Epoch || page.Before[0] != first {
			t.Errorf("%+v, after %v", page, first)
		}
		time.Sleep(2 * time.Second)
		_, _ = say(a, 2)
		page = begin(func() { c.StartWithout(time.Second) }, 1, 2)
		if page.Before[0].Offset != 1 {
			t.Errorf("%+v", page)
		}
		begin(c.StartEmpty, 0, 0)
		e.wants(t, "1", "gap", "2", "gap", "gap")
	})
}
