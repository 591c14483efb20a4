package clustertest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// When another user's stream gets the id of one that was deleted, a mirror of the first one does not show it: the node
// drops that mirror, and makes another for the new stream.
func TestMirrorOfAReusedID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b", "c")
		c.send(c.stream("a", "s"), writer, "ada's", &hub.Ending{Status: hub.StatusDone})
		time.Sleep(time.Second)
		old, err := c.hubs["b"].Stream("ada", "s")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.stores["a"].Delete([]string{"s"}); err != nil {
			t.Fatal(err)
		}
		s, _, err := c.hubs["c"].CreateStream(hub.StreamSpec{ID: "s", Owner: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		c.send(s, writer, "bob's", nil)
		time.Sleep(time.Second)
		if got := string(old.State().Text); got != "ada's" {
			t.Errorf("the mirror of the first stream has %q", got)
		}
		found, err := c.hubs["b"].Stream("bob", "s")
		if err != nil {
			t.Fatal(err)
		}
		if got := string(found.State().Text); found.Owner != "bob" || got != "bob's" {
			t.Errorf("the stream of %s is found, with %q", found.Owner, got)
		}
	})
}

// A node that takes over a stream which had ended, and had not heard of that, wakes the readers of its mirror.
func TestEndThatComesWithATakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		s := c.stream("a", "s")
		c.send(s, writer, "one ", nil)
		mirror, err := c.hubs["b"].Stream("ada", "s")
		if err != nil {
			t.Fatal(err)
		}
		wake := log.NewWake()
		reader, _ := mirror.Watch(log.Position{}, wake)
		defer reader.Close()
		c.stores["b"].Deafen()
		c.send(s, hub.ProducerRef{ID: "p", Epoch: 1, Seq: 1}, "two", &hub.Ending{Status: hub.StatusDone})
		time.Sleep(time.Second)
		for len(wake.C) > 0 {
			<-wake.C
		}
		if _, reset := reader.Read(nil); reset != nil {
			t.Fatal(reset)
		}
		c.die("a")
		time.Sleep(findDead)
		if got := mirror.Status(); got != hub.StatusDone {
			t.Errorf("the stream is %s", got)
		}
		select {
		case <-wake.C:
		default:
			t.Error("its reader was not woken")
		}
	})
}
