package clustertest

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// cursors publishes ephemeral events of one name on node a, and reads them on node b.
type cursors struct {
	*cluster
	reader *hub.TopicReader
}

func newCursors(t *testing.T) *cursors {
	c := newCluster(t, "a", "b")
	r, _, err := c.hubs["b"].Subscribe("t", log.Position{}, log.NewWake())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return &cursors{c, r}
}

// move publishes one event, and waits for a second. id may be "".
func (c *cursors) move(sender, id, payload string) {
	c.t.Helper()
	e := hub.EventInput{ID: id, Event: "cursor", Payload: []byte(payload), Ephemeral: true}
	if _, err := c.hubs["a"].Publish("t", sender, []hub.EventInput{e}); err != nil {
		c.t.Fatal(err)
	}
	time.Sleep(time.Second)
}

// read checks the payloads of the events that the reader has not read yet.
func (c *cursors) read(when string, want ...string) {
	c.t.Helper()
	var got []string
	items, _ := c.reader.Read(nil)
	for i := range items {
		got = append(got, string(items[i].Event.Payload()))
	}
	if !slices.Equal(got, want) {
		c.t.Errorf("%s: %q, expected %q", when, got, want)
	}
}

// gap makes node b miss what f publishes, and then load it.
func (c *cursors) gap(f func()) {
	c.stores["b"].Deafen()
	f()
	c.stores["b"].Mend()
	time.Sleep(10 * time.Second)
}

// A node that heard nothing for a while has the newest ephemeral events afterwards, also where no other event came in
// the meantime. Its readers get each of them once.
func TestEphemeralEventsAfterAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCursors(t)
		c.move("ada", "", "1")
		c.move("bob", "", "2")
		c.read("before the gap", "1", "2")
		c.gap(func() { c.move("ada", "", "3") })
		c.read("after the gap", "3")
	})
}

// The store keeps an expired ephemeral event while others of the topic are current. A load does not bring it back.
func TestExpiredEphemeralEventsAfterAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCursors(t)
		c.move("ada", "", "1")
		time.Sleep(40 * time.Second)
		c.move("bob", "", "2")
		c.read("before the gap", "1", "2")
		time.Sleep(30 * time.Second)
		c.move("bob", "", "3") // the event of ada's has expired on both nodes
		c.read("later", "3")
		c.gap(func() {})
		c.read("after a gap without events")
		late, _, err := c.hubs["a"].Subscribe("t", log.Position{}, log.NewWake())
		if err != nil {
			t.Fatal(err)
		}
		defer late.Close()
		c.reader = late
		c.read("a new reader on a node that had none", "3")
	})
}

// A sender may give all its ephemeral events the same id. Each of them replaces the one before it.
func TestEphemeralEventsWithOneID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCursors(t)
		c.move("ada", "c", "1")
		c.read("the first", "1")
		c.move("ada", "c", "2")
		c.read("the second", "2")
		c.gap(func() { c.move("ada", "c", "3") })
		c.read("after the gap", "3")
		c.gap(func() {})
		c.read("after a gap without events")
	})
}
