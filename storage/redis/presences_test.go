package redis_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
)

// crowd is one client's view of a topic's presences, built as phoenix.js does it: the state, and the diffs applied to
// it.
type crowd struct {
	t      testing.TB
	reader *hub.PresenceReader
	wake   *log.Wake
	refs   map[string]string // phx_ref → key
	diffs  []string          // +KEY, -KEY, and ~KEY for an update
}

func watchCrowd(t testing.TB, n *node) *crowd {
	c := &crowd{t: t, wake: log.NewWake()}
	var err error
	if c.reader, err = n.SubscribePresence("room", c.wake); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.reader.Close)
	c.reset()
	return c
}

type present map[string]struct {
	Metas []struct {
		Ref  string `json:"phx_ref"`
		Prev string `json:"phx_ref_prev"`
	}
}

func (c *crowd) reset() {
	c.refs = make(map[string]string)
	var state present
	if err := json.Unmarshal(c.reader.State(), &state); err != nil {
		c.t.Fatal(err)
	}
	for key, p := range state {
		for _, m := range p.Metas {
			c.refs[m.Ref] = key
		}
	}
}

func (c *crowd) take() {
	items, lost := c.reader.Read(nil)
	if lost {
		c.reset()
	}
	for i := range items {
		var diff struct {
			Payload struct{ Joins, Leaves present }
		}
		if err := json.Unmarshal(items[i].Event.Data, &diff); err != nil {
			c.t.Fatal(err)
		}
		left := make(map[string]bool)
		for key, p := range diff.Payload.Leaves {
			for _, m := range p.Metas {
				if c.refs[m.Ref] != key {
					c.t.Errorf("%s of %s leaves, who is not there: %v", m.Ref, key, c.refs)
				}
				delete(c.refs, m.Ref)
				left[m.Ref] = true
			}
		}
		for key, p := range diff.Payload.Joins {
			for _, m := range p.Metas {
				if c.refs[m.Ref] != "" {
					c.t.Errorf("%s of %s joins twice", m.Ref, key)
				}
				c.refs[m.Ref] = key
				if left[m.Prev] {
					c.diffs = append(c.diffs, "~"+key)
					delete(left, m.Prev)
				} else {
					c.diffs = append(c.diffs, "+"+key)
				}
			}
		}
		for key, p := range diff.Payload.Leaves {
			for _, m := range p.Metas {
				if left[m.Ref] {
					c.diffs = append(c.diffs, "-"+key)
				}
			}
		}
	}
}

// until reads until exactly these keys are present, each as often as it has sessions.
func (c *crowd) until(keys ...string) {
	c.t.Helper()
	late := time.NewTimer(hubtest.Hung)
	defer late.Stop()
	for {
		c.take()
		if got := slices.Sorted(maps.Values(c.refs)); slices.Equal(got, keys) {
			return
		}
		select {
		case <-c.wake.C:
		case <-late.C:
			c.t.Fatalf("%v are there, want %v; %v", slices.Sorted(maps.Values(c.refs)), keys, c.diffs)
		}
	}
}

func track(t testing.TB, n *node, key, client, meta string) *hub.Presence {
	t.Helper()
	p, err := n.Track("room", key, client, json.RawMessage(meta))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPresenceOverNodes(t *testing.T) {
	backends(t, func(t *testing.T, url string) { presenceOverNodes(t, address(url)) })
}

func presenceOverNodes(t *testing.T, server addressed) {
	a, b, c := startNode(t, server), startNode(t, server), startNode(t, server)
	ada := track(t, a, "ada", "web-1", `{"v":1}`)
	there := watchCrowd(t, b)
	there.until("ada")
	track(t, b, "ada", "web-2", `{}`)
	bob := track(t, c, "bob", "", `{}`)
	here := watchCrowd(t, a)
	for _, w := range []*crowd{here, there} {
		w.until("ada", "ada", "bob")
	}
	if err := ada.Update(json.RawMessage(`{"v":2}`)); err != nil {
		t.Fatal(err)
	}
	for slices.Index(there.diffs, "~ada") < 0 {
		<-there.wake.C
		there.take()
	}
	if got := string(b.Presences("room")); !strings.Contains(got, `"v":2`) || strings.Contains(got, `"v":1`) {
		t.Errorf("%s", got)
	}
	bob.Leave()
	for _, w := range []*crowd{here, there} {
		w.until("ada", "ada")
	}
	if got := string(c.Presences("room")); strings.Count(got, "phx_ref") != 2+strings.Count(got, "phx_ref_prev") {
		t.Errorf("%s", got) // on a node without presences and readers
	}
}

// TestPresenceAgainAtOnce checks that a reader that returns at once sees the other nodes' presences each time.
func TestPresenceAgainAtOnce(t *testing.T) {
	server := address(startMini(t))
	a, b := startNode(t, server), startNode(t, server)
	track(t, a, "ada", "", `{}`)
	for range 20 {
		w := watchCrowd(t, b)
		w.until("ada")
		w.reader.Close()
	}
}

// TestPresenceComesBackElsewhere moves a client to another node after a lost connection: nobody sees it leave. A
// client that does not return leaves once.
func TestPresenceComesBackElsewhere(t *testing.T) {
	server := startRedis(t)
	a, b := startNode(t, server), startNode(t, server)
	watchers := []*crowd{watchCrowd(t, a), watchCrowd(t, b)}
	ada, bob := track(t, a, "ada", "web-1", `{"v":1}`), track(t, a, "bob", "web-2", `{}`)
	for _, w := range watchers {
		w.until("ada", "bob")
	}
	ada.Drop(time.Minute)
	bob.Drop(300 * time.Millisecond)
	again := track(t, b, "ada", "web-1", `{"v":1}`)
	track(t, b, "eve", "", `{}`)
	for _, w := range watchers {
		w.until("ada", "eve")
	}
	ada.Leave() // it belongs to the other node now
	track(t, a, "fay", "", `{}`)
	for _, w := range watchers {
		w.until("ada", "eve", "fay")
		slices.Sort(w.diffs) // the order of bob and eve is not determined
		if want := []string{"+ada", "+bob", "+eve", "+fay", "-bob"}; !slices.Equal(w.diffs, want) {
			t.Errorf("%v, want %v", w.diffs, want)
		}
	}
	again.Leave()
	for _, w := range watchers {
		w.until("eve", "fay")
	}
}

func TestPresenceOfDeadNode(t *testing.T) {
	server := startRedis(t)
	a, b, c := startNode(t, server), startNode(t, server), startNode(t, server)
	watchers := []*crowd{watchCrowd(t, b), watchCrowd(t, c)}
	for i := range 20 {
		track(t, a, fmt.Sprintf("u%02d", i), "", `{}`)
	}
	track(t, b, "v", "", `{}`)
	everybody := slices.Sorted(func(yield func(string) bool) {
		for i := range 20 {
			yield(fmt.Sprintf("u%02d", i))
		}
		yield("v")
	})
	for _, w := range watchers {
		w.until(everybody...)
	}
	a.die(t, b, c)
	for _, w := range watchers {
		w.until("v")
		if len(w.diffs) != 21+20 {
			t.Errorf("%v", w.diffs)
		}
	}
}

// TestPresenceOverRollingDeploy replaces the nodes one by one: their clients move to others, and no reader sees a
// change.
func TestPresenceOverRollingDeploy(t *testing.T) {
	server := startRedis(t)
	nodes := []*node{startNode(t, server), startNode(t, server), startNode(t, server)}
	var sessions []*hub.Presence
	var keys []string
	for i := range 9 {
		keys = append(keys, fmt.Sprintf("u%d", i))
		sessions = append(sessions, track(t, nodes[i%3], keys[i], "c"+keys[i], `{}`))
	}
	for round := range 3 {
		next := startNode(t, server)
		w := watchCrowd(t, next)
		w.until(keys...)
		w.diffs = nil
		old := nodes[round]
		for i, p := range sessions {
			if i%3 == round {
				p.Drop(hubtest.Hung)
			}
		}
		old.Close()
		for i := range sessions {
			if i%3 == round {
				sessions[i] = track(t, next, keys[i], "c"+keys[i], `{}`)
			}
		}
		nodes[round] = next
		old.buried(t, nodes...)
		for _, n := range nodes { // until the others have processed its end
			hubtest.Until(t, "a node to see that another is gone",
				func() bool { return !n.store.Knows(old.store.Node()) })
			n.beat(t, 1)
		}
		w.until(keys...)
		if len(w.diffs) > 0 {
			t.Errorf("round %d: %v", round, w.diffs)
		}
	}
}

// TestPresenceForgotten restarts a Redis without persistence: afterwards all presences are there again, also for new
// readers.
func TestPresenceForgotten(t *testing.T) {
	server := startRedis(t)
	a, b := startNode(t, server), startNode(t, server)
	track(t, a, "ada", "", `{}`)
	w := watchCrowd(t, b)
	w.until("ada")
	server.Kill()
	server.Start()
	c := startNode(t, server)
	watchCrowd(t, c).until("ada")
	track(t, c, "bob", "", `{}`)
	w.until("ada", "bob")
}
