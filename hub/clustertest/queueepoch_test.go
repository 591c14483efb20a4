package clustertest

import (
	"testing"
	"testing/synctest"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/storage/memory"
)

// After the store has begun a new epoch, a position that one node gave is valid on another node, even if that one has
// not asked the store since.
func TestAcknowledgeOnANodeThatKnowsNoNewEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := memory.NewCluster(memory.ClusterOptions{})
		var hubs []*hub.Hub
		for _, name := range []string{"a", "b"} {
			n := c.Node(name)
			defer n.Close()
			h := hub.New(hub.Options{Streams: n, Queue: n, Logger: quiet})
			defer h.Close()
			hubs = append(hubs, h)
		}
		synctest.Wait()
		c.Start()
		out, err := hubs[0].Enqueue("s", []hub.MessageInput{{User: "u", Event: "n"}})
		if err != nil {
			t.Fatal(err)
		}
		if out[0].Position.Epoch == hubs[1].QueueEpoch() {
			t.Fatal("the other node knows the new epoch already, and the test shows nothing")
		}
		if err := hubs[1].AckMessages("u", out[0].Position); err != nil {
			t.Error(err)
		}
	})
}
