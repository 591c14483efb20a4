package clustertest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/memory"
)

// A node that heard nothing for a while has the newest ephemeral events afterwards, also where no other event came in
// the meantime. Its readers get each of them once.
func TestEphemeralEventsAfterAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := memory.NewCluster(memory.ClusterOptions{})
		var hubs []*hub.Hub
		var nodes []*memory.Node
		for _, name := range []string{"a", "b"} {
			n := c.Node(name)
			defer n.Close()
			h := hub.New(hub.Options{Streams: n, Topics: n, Logger: quiet})
			defer h.Close()
			hubs, nodes = append(hubs, h), append(nodes, n)
		}
		r, _, err := hubs[1].Subscribe("t", log.Position{}, log.NewWake())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		move := func(sender, payload string) {
			t.Helper()
			e := hub.EventInput{Event: "cursor", Payload: []byte(payload), Ephemeral: true}
			if _, err := hubs[0].Publish("t", sender, []hub.EventInput{e}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		read := func() (got []string) {
			items, _ := r.Read(nil)
			for i := range items {
				got = append(got, string(items[i].Event.Payload()))
			}
			return got
		}
		move("ada", "1")
		move("bob", "2")
		if got := read(); len(got) != 2 {
			t.Fatalf("%q", got)
		}
		nodes[1].Deafen()
		move("ada", "3")
		nodes[1].Mend()
		time.Sleep(time.Minute / 2)
		if got := read(); len(got) != 1 || got[0] != "3" {
			t.Errorf("after the gap: %q", got)
		}
	})
}
