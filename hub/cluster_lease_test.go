package hub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest/clustertest"
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

// Without a valid lease a node acknowledges nothing to producers, in any kind of request. What it has acknowledged
// before is not lost when another node takes over the stream. Completions continue.
func TestNothingIsAcknowledgedWithoutALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &clustertest.Cluster{}
		a, b := cluster.Node("a"), cluster.Node("b")
		done := make(chan struct{})
		provider := scripted(func(_ context.Context, w hub.CompletionWriter) error {
			<-done
			return w.Text("goes on")
		})
		here := newHub(t, hub.Options{Streams: a, Provider: provider})
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

		a.Set(false, true)
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

		a.Set(true, true)
		if !b.Bury("a") {
			t.Error("the other node is not done with the dead one")
		}
		a.Return()
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
		cluster := &clustertest.Cluster{}
		a := cluster.Node("a")
		h := newHub(t, hub.Options{Streams: a})
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
		a.Set(true, true)
		if _, err := upload.End(nil); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		a.Return()
		mustAppend(t, s, hub.ProducerRef{ID: "p", Seq: 1}, "two ") // a retry: its text is not appended twice
		if got := string(s.State().Text); got != "one two " {
			t.Errorf("%q", got)
		}
	})
}
