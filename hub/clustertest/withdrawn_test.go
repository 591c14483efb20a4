package clustertest

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/storage/memory"
)

// A stream may have been registered although the answer was lost. Then readers who found it on another node are told
// its end, and its owner may create it again under the same id.
func TestStreamWhoseRegistrationWasNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost atomic.Value // the command whose answer is lost
		c := memory.NewCluster(memory.ClusterOptions{Command: func(node, command string) memory.Fate {
			return memory.Fate{Lost: node == "a" && command == lost.Load()}
		}})
		var hubs []*hub.Hub
		for _, name := range []string{"a", "b"} {
			n := c.Node(name)
			defer n.Close()
			h := hub.New(hub.Options{Streams: n, Provider: &provider{pace: time.Millisecond}, Logger: quiet})
			defer h.Close()
			hubs = append(hubs, h)
		}
		ask := func(h *hub.Hub) (*hub.Stream, error) {
			req := &hub.CompletionRequest{Kind: hub.TextCompletion, Prompt: "3"}
			spec := hub.StreamSpec{Kind: "completion", Owner: "ada", Alias: "mine"}
			s, _, err := h.Complete(req, spec, hub.CompletionMeta{Kind: hub.TextCompletion})
			return s, err
		}
		lost.Store("save stream")
		if _, err := ask(hubs[0]); !errors.Is(err, errs.ErrUnavailable) {
			t.Fatalf("%v, though nobody has answered", err)
		}
		lost.Store("")
		found, err := ask(hubs[1])
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if found.Status() != hub.StatusFailed {
			t.Errorf("who has found it sees it %s", found.Status())
		}
		again, err := ask(hubs[0])
		if err != nil {
			t.Fatal(err)
		}
		<-again.Done()
		if again.Status() != hub.StatusDone {
			t.Errorf("asked for again, it is %s", again.Status())
		}
	})
}
