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

// recorder follows a topic and records the messages (numbers) and gaps.
type recorder struct {
	mu    sync.Mutex
	heard []string
}

func (r *recorder) add(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, what)
}

func (r *recorder) follow(n *memory.Node) (stop func()) {
	return n.FollowTopic("t", func(b hub.EventBatch) {
		for _, event := range b.Events {
			r.add(string(event.Payload))
		}
	}, func() { r.add("gap") })
}

func (r *recorder) wants(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if fmt.Sprint(r.heard) != fmt.Sprint(want) {
		t.Errorf("heard %v, want %v", r.heard, want)
	}
	r.heard = nil
}

var limits = hub.TopicLimits{Events: 100, Bytes: 1 << 20, TTL: time.Hour, Ephemerals: 9, EphemeralTTL: time.Minute}

func publish(n *memory.Node, number int) (log.Position, error) {
	text := fmt.Sprint(number)
	event := hub.SharedEvent{ID: text, Event: "n", Payload: json.RawMessage(text)}
	positions, err := n.AppendEvents("t", []hub.SharedEvent{event}, limits)
	if err != nil {
		return log.Position{}, err
	}
	return positions[0], nil
}

// bubble runs a test with two nodes, one of which follows the topic.
func bubble(
	t *testing.T, o memory.ClusterOptions, test func(t *testing.T, c *memory.Cluster, a, b *memory.Node, r *recorder),
) {
	synctest.Test(t, func(t *testing.T) {
		c, r := memory.NewCluster(o), &recorder{}
		a, b := c.Node("a"), c.Node("b")
		defer a.Close()
		defer b.Close()
		defer r.follow(b)()
		r.wants(t, "gap")
		test(t, c, a, b, r)
	})
}

func TestMessagesAreLostWithTheirConnection(t *testing.T) {
	bubble(t, memory.ClusterOptions{}, func(t *testing.T, c *memory.Cluster, a, b *memory.Node, r *recorder) {
		for _, cut := range []func(){b.Cut, b.Deafen} {
			cut()
			if _, err := publish(a, 1); err != nil {
				t.Error(err)
			}
			r.wants(t)
			b.Mend()
			r.wants(t, "gap")
			_, _ = publish(a, 2)
			r.wants(t, "2")
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
	bubble(t, o, func(t *testing.T, c *memory.Cluster, a, b *memory.Node, r *recorder) {
		_, _ = publish(a, 1)
		fate = memory.Delivery{}
		_, _ = publish(a, 2)
		r.wants(t)
		time.Sleep(time.Second)
		r.wants(t, "1", "1", "2")
		b.Pause()
		_, _ = publish(a, 3)
		r.wants(t)
		b.Resume()
		r.wants(t, "3")
	})
}

func TestCommandsFail(t *testing.T) {
	var fate memory.Fate
	o := memory.ClusterOptions{Command: func(node, command string) memory.Fate { return fate }}
	bubble(t, o, func(t *testing.T, c *memory.Cluster, a, b *memory.Node, r *recorder) {
		fate.Refused = true
		if _, err := publish(a, 1); !errors.Is(err, errs.ErrUnavailable) {
			t.Error(err)
		}
		r.wants(t)
		fate = memory.Fate{Lost: true}
		if _, err := publish(a, 2); !errors.Is(err, errs.ErrUnavailable) {
			t.Error(err)
		}
		r.wants(t, "2")
		fate = memory.Fate{Before: time.Second, After: time.Second}
		begun := time.Now()
		if _, err := publish(a, 3); err != nil || time.Since(begun) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		go func() { time.Sleep(1500 * time.Millisecond); a.Cut() }()
		if _, err := publish(a, 4); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("an answer over a connection that was cut: %v", err)
		}
		r.wants(t, "3", "4")
	})
}

// A store that may have lost writes begins new epochs, and says up to which offset the logs equal the earlier ones.
func TestStoreLosesWrites(t *testing.T) {
	bubble(t, memory.ClusterOptions{}, func(t *testing.T, c *memory.Cluster, a, b *memory.Node, r *recorder) {
		begin := func(start func(), want uint64, epochs int) hub.TopicPage {
			t.Helper()
			before, queue := a.QueueEpoch(), ""
			synctest.Wait()
			c.Stop()
			if _, err := publish(a, 1); !errors.Is(err, errs.ErrUnavailable) {
				t.Error(err)
			}
			start()
			page, err := a.Events("t", "", 0)
			if err != nil || page.Tail != want || len(page.Before) != epochs {
				t.Errorf("%+v, %v; want %d events, %d earlier epochs", page, err, want, epochs)
			}
			_, _ = a.Messages("u", 0, 1)
			if queue = a.QueueEpoch(); queue == before {
				t.Error("the epoch of queues is the one before")
			}
			return page
		}
		first, _ := publish(a, 1)
		page := begin(c.Start, 1, 1)
		if page.Epoch == first.Epoch || page.Before[0] != first {
			t.Errorf("%+v, after %v", page, first)
		}
		time.Sleep(2 * time.Second)
		_, _ = publish(a, 2)
		page = begin(func() { c.StartWithout(time.Second) }, 1, 2)
		if page.Before[0].Offset != 1 {
			t.Errorf("%+v", page)
		}
		begin(c.StartEmpty, 0, 0)
		r.wants(t, "1", "gap", "2", "gap", "gap")
	})
}
