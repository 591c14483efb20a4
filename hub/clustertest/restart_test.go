package clustertest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// A node that restarts under the same name before its lease ends restores its streams. Running ones are interrupted,
// also on the other nodes, and their producers may continue.
func TestNodeBeginsAgainUnderItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		running := c.stream("a", "running")
		ended := c.stream("a", "ended")
		c.send(running, hub.ProducerRef{ID: "p", Epoch: 1}, "one ", nil)
		c.send(ended, hub.ProducerRef{ID: "p", Epoch: 1}, "all", &hub.Ending{Status: hub.StatusDone})
		time.Sleep(time.Second)
		c.wants("b", "running", hub.StatusRunning, "one ")
		c.wants("b", "ended", hub.StatusDone, "all")

		c.die("a")
		if err := c.start("a").Restore(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		for name := range c.hubs {
			c.wants(name, "running", hub.StatusInterrupted, "one ")
			c.wants(name, "ended", hub.StatusDone, "all")
		}
		again, err := c.hubs["b"].Stream("ada", "running")
		if err != nil {
			t.Fatal(err)
		}
		c.send(again, hub.ProducerRef{ID: "p", Epoch: 2}, "two", &hub.Ending{Status: hub.StatusDone})
		time.Sleep(time.Second)
		for name := range c.hubs {
			c.wants(name, "running", hub.StatusDone, "one two")
		}
	})
}
