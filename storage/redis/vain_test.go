package redis_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/redis"
)

// busyOnce refuses the first completion, and answers all others.
type busyOnce struct{ asked atomic.Int32 }

func (p *busyOnce) Models(context.Context) ([]hub.Model, error) { return nil, nil }

func (p *busyOnce) Complete(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
	if p.asked.Add(1) == 1 {
		return &hub.ProviderError{Status: 429, Code: "busy", Message: "slow down"}
	}
	if err := w.Text("made"); err != nil {
		return err
	}
	w.Finish(hub.Finish{Reason: "stop"})
	return nil
}

// TestFailureIsNotReplayedByAnotherNode: an id whose stream made nothing is tried anew on any node, and then names the
// new stream on all of them.
func TestFailureIsNotReplayedByAnotherNode(t *testing.T) {
	server := startRedis(t)
	provider := &busyOnce{}
	var nodes [2]*hub.Hub
	for i := range nodes {
		store := open(t, redis.Options{URL: server.URL(), Lease: lease})
		nodes[i] = hub.New(hub.Options{Streams: store, Provider: provider})
		t.Cleanup(nodes[i].Close)
	}
	ask := func(node int) *hub.Stream {
		t.Helper()
		s, _, err := nodes[node].Complete(&hub.CompletionRequest{Kind: hub.TextCompletion, Prompt: "x"},
			hub.StreamSpec{Alias: "k", Digest: "d", Owner: "ada", Kind: "completion"},
			hub.CompletionMeta{Kind: hub.TextCompletion})
		if err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		return s
	}
	failed := ask(0)
	if st := failed.Status(); st != hub.StatusFailed {
		t.Fatalf("the first is %s", st)
	}
	var made *hub.Stream
	hubtest.Until(t, "the other node to know the failure", func() bool { made = ask(1); return made.ID != failed.ID })
	if st := made.Status(); st != hub.StatusDone {
		t.Fatalf("the second is %s", st)
	}
	for i := range nodes {
		hubtest.Until(t, "the node to know the new stream", func() bool {
			again := ask(i)
			return again.ID == made.ID && again.Status() == hub.StatusDone
		})
	}
	if n := provider.asked.Load(); n != 2 {
		t.Errorf("the provider was asked %d times", n)
	}
}
