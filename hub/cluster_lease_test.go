package hub_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/storage/memory"
)

// appendAll sends one complete request.
func appendAll(s *hub.Stream, ref hub.ProducerRef, text string) error {
	a, err := s.AppendWhole(ref)
	if err != nil {
		return err
	}
	defer a.Abort()
	if err := a.Add([]hub.Part{{Text: text}}); err != nil {
		return err
	}
	_, err = a.End(nil)
	return err
}

func mustAppend(t *testing.T, s *hub.Stream, ref hub.ProducerRef, text string) {
	t.Helper()
	if err := appendAll(s, ref, text); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

// leaseOf is the lease of one node in a cluster.
type leaseOf struct {
	name string
	node *memory.Node
	mute atomic.Bool // the answers to its beats are lost
}

// testLease is long enough for what is begun before it runs out.
const testLease = 10 * time.Second

// newLease returns a cluster, and its node a. Call it in a bubble, before the hubs are made.
func newLease(t *testing.T) (*memory.Cluster, *leaseOf) {
	l := &leaseOf{name: "a"}
	c := memory.NewCluster(memory.ClusterOptions{Lease: testLease, Command: func(node, command string) (f memory.Fate) {
		switch {
		case node == l.name && command == "beat":
			f.Lost = l.mute.Load()
		case command == "save stream": // a node whose lease holds again is asked before it knows whose its streams are
			f.Before = 10 * time.Millisecond
		}
		return f
	}})
	l.node = c.Node(l.name)
	t.Cleanup(l.node.Close)
	return c, l
}

// doubt returns when the node does not know any more whether its lease holds. It does: to the others the node is alive.
func (l *leaseOf) doubt() {
	l.mute.Store(true)
	time.Sleep(testLease + time.Second)
}

// lose cuts the node off until its lease has run out, and the others have found it dead.
func (l *leaseOf) lose() {
	l.node.Cut()
	time.Sleep(2 * testLease)
}

// renew returns at the moment at which the node knows that its lease holds again.
func (l *leaseOf) renew() {
	l.mute.Store(false)
	l.node.Mend()
	for !l.node.LeaseValid() {
		time.Sleep(time.Millisecond)
	}
}

// Without a valid lease a node acknowledges nothing to producers, by any kind of request. What it acknowledged before
// is there after another node has taken over the stream. Completions go on.
func TestNothingIsAcknowledgedWithoutALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, lease := newLease(t)
		b := c.Node("b")
		t.Cleanup(b.Close)
		done := make(chan struct{})
		provider := scripted(func(_ context.Context, w hub.CompletionWriter) error {
			<-done
			return w.Text("goes on")
		})
		here := newHub(t, hub.Options{Streams: lease.node, Provider: provider})
		there := newHub(t, hub.Options{Streams: b})
		s, _, err := here.CreateStream(hub.StreamSpec{Owner: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		producer := hub.ProducerRef{ID: "p", Epoch: 1}
		mustAppend(t, s, producer, "one ")
		time.Sleep(time.Second) // until it is stored
		completion := complete(t, here, hub.StreamSpec{})
		mirror, err := there.Stream("ada", s.ID)
		if err != nil {
			t.Fatal(err)
		}
		producer.Seq = 1
		upload, err := s.Append(producer)
		if err != nil {
			t.Fatal(err)
		}
		ended, _, _ := here.CreateStream(hub.StreamSpec{Owner: "ada"})
		ending, err := ended.Append(hub.ProducerRef{})
		if err != nil {
			t.Fatal(err)
		}
		relayed, err := mirror.Append(hub.ProducerRef{ID: "p", Epoch: 1, Seq: 1})
		if err != nil {
			t.Fatal(err)
		}

		lease.doubt()
		_, endErr := ending.End(&hub.Ending{Status: hub.StatusDone})
		_, relayEndErr := relayed.End(nil)
		_, _, createErr := here.CreateStream(hub.StreamSpec{Owner: "ada"})
		for what, err := range map[string]error{
			"an append":                     appendAll(s, producer, "lost"),
			"a repetition":                  appendAll(s, hub.ProducerRef{ID: "p", Epoch: 1}, "one "),
			"a piece of an upload":          upload.Add([]hub.Part{{Text: "lost"}}),
			"raw text of an upload":         upload.AddText([]byte("lost")),
			"an end":                        endErr,
			"a new stream":                  createErr,
			"an append of another node":     appendAll(mirror, producer, "lost"),
			"an upload's end, of a node":    relayEndErr,
			"a new producer's":              appendAll(s, hub.ProducerRef{ID: "p", Epoch: 2}, "lost"),
			"an append without a name":      appendAll(ended, hub.ProducerRef{}, "lost"),
			"an append of the other's name": appendAll(ended, hub.ProducerRef{ID: "q"}, "lost"),
		} {
			if !errors.Is(err, errs.ErrUnavailable) {
				t.Errorf("%s: %v", what, err)
			}
		}
		upload.Abort()
		if len(here.Degraded()) == 0 || len(there.Degraded()) > 0 {
			t.Errorf("degraded: %q here, %q there", here.Degraded(), there.Degraded())
		}
		time.Sleep(time.Minute) // a producer whose requests are refused does not count as silent
		if got := s.Status(); got != hub.StatusRunning {
			t.Errorf("after the producer was refused for a minute the stream is %s", got)
		}
		close(done)
		<-completion.Done()
		if got := completion.State(); got.Status != hub.StatusDone || string(got.Text) != "goes on" {
			t.Errorf("the completion is %s: %q", got.Status, got.Text)
		}

		lease.lose()
		taken, err := there.Stream("ada", s.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got := taken.Status(); got != hub.StatusInterrupted {
			t.Errorf("the stream of the dead node is %s on the other one", got)
		}
		lease.renew()
		if err := appendAll(s, producer, "lost"); err == nil {
			t.Error("an append is acknowledged for a stream that another node has taken")
		}
		time.Sleep(time.Second)
		var fenced *hub.FencedError
		if err := appendAll(s, producer, "lost"); !errors.As(err, &fenced) {
			t.Errorf("sent again: %v", err)
		}
		mustAppend(t, s, hub.ProducerRef{ID: "p", Epoch: 2}, "two")
		time.Sleep(time.Second)
		for name, h := range map[string]*hub.Hub{"a": here, "b": there} {
			if got, err := h.Stream("ada", s.ID); err != nil || string(got.State().Text) != "one two" {
				t.Errorf("on node %s: %v, %q", name, err, got.State().Text)
			}
		}
		if len(here.Degraded()) > 0 {
			t.Errorf("degraded: %q", here.Degraded())
		}
	})
}

// A stream that no node took over while the lease was invalid continues where it was.
func TestLeaseIsShownAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, lease := newLease(t)
		h := newHub(t, hub.Options{Streams: lease.node})
		s, _, err := h.CreateStream(hub.StreamSpec{Owner: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, hub.ProducerRef{ID: "p"}, "one ")
		upload, err := s.Append(hub.ProducerRef{ID: "p", Seq: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := upload.Add([]hub.Part{{Text: "two "}}); err != nil {
			t.Fatal(err)
		}
		lease.lose()
		if _, err := upload.End(nil); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		lease.renew()
		mustAppend(t, s, hub.ProducerRef{ID: "p", Seq: 1}, "two ") // a retry: its text is not appended twice
		if got := string(s.State().Text); got != "one two " {
			t.Errorf("%q", got)
		}
	})
}
