package hub_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// people is a map of presences in the form of phoenix.js.
type people map[string]present

type present struct {
	Metas []map[string]any `json:"metas"`
}

func (p present) refs() (refs []any) {
	for _, m := range p.Metas {
		refs = append(refs, m["phx_ref"])
	}
	return refs
}

// without returns the metas without those that have one of the refs.
func (p present) without(refs []any) (metas []map[string]any) {
	for _, m := range p.Metas {
		if !slices.Contains(refs, m["phx_ref"]) {
			metas = append(metas, m)
		}
	}
	return metas
}

// presenceClient applies states and diffs as phoenix.js's Presence does (assets/js/phoenix/presence.js, syncState and
// syncDiff).
type presenceClient struct {
	t      fataler
	reader *hub.PresenceReader
	state  people
	states int // states that it has read
	diffs  int
}

// fataler is the part of testing.TB that the client uses. A rapid.T has it, too.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func newPresenceClient(t fataler, h *hub.Hub, topic string, wake log.Waker) *presenceClient {
	t.Helper()
	r, err := h.SubscribePresence(topic, wake)
	if err != nil {
		t.Fatalf("%v", err)
	}
	c := &presenceClient{t: t, reader: r, state: people{}}
	c.syncState(decodePeople(t, r.State()))
	return c
}

// read reads until there is nothing more.
func (c *presenceClient) read() {
	c.t.Helper()
	for {
		items, lost := c.reader.Read(nil)
		if lost {
			if len(items) > 0 {
				c.t.Fatalf("%d items for a reader that is lost", len(items))
			}
			c.syncState(decodePeople(c.t, c.reader.State()))
			continue
		}
		if len(items) == 0 {
			return
		}
		for _, item := range items {
			c.diffs++
			c.syncDiff(decodeDiff(c.t, item))
		}
	}
}

type diff struct {
	Joins  people `json:"joins"`
	Leaves people `json:"leaves"`
}

func decodeDiff(t fataler, item log.Item) diff {
	t.Helper()
	var d diff
	if err := json.Unmarshal(item.Event.Payload(), &d); err != nil || d.Joins == nil || d.Leaves == nil {
		t.Fatalf("diff %s (%v)", item.Event.Payload(), err)
	}
	var e struct {
		Event    string
		Position *string
		Payload  json.RawMessage
	}
	err := json.Unmarshal(item.Event.Data, &e)
	if err != nil || e.Event != hub.PresenceDiff || item.Event.Name != e.Event || e.Position != nil || item.To != 0 {
		t.Fatalf("envelope %s (%v) to %d", item.Event.Data, err, item.To)
	}
	return d
}

func decodePeople(t fataler, raw []byte) people {
	t.Helper()
	var p people
	if err := json.Unmarshal(raw, &p); err != nil || p == nil {
		t.Fatalf("state %s (%v)", raw, err)
	}
	return p
}

func (c *presenceClient) syncState(now people) {
	c.states++
	d := diff{people{}, people{}}
	for key, p := range c.state {
		if _, ok := now[key]; !ok {
			d.Leaves[key] = p
		}
	}
	for key, p := range now {
		cur, ok := c.state[key]
		if !ok {
			d.Joins[key] = p
			continue
		}
		if joined := p.without(cur.refs()); len(joined) > 0 {
			d.Joins[key] = present{joined}
		}
		if left := cur.without(p.refs()); len(left) > 0 {
			d.Leaves[key] = present{left}
		}
	}
	c.syncDiff(d)
}

func (c *presenceClient) syncDiff(d diff) {
	for key, p := range d.Joins {
		c.state[key] = present{append(c.state[key].without(p.refs()), p.Metas...)}
	}
	for key, p := range d.Leaves {
		cur, ok := c.state[key]
		if !ok {
			continue
		}
		cur.Metas = cur.without(p.refs())
		c.state[key] = cur
		if len(cur.Metas) > 0 {
			continue
		}
		if _, joined := d.Joins[key]; joined {
			c.t.Fatalf("%s flickers: %v", key, d)
		}
		delete(c.state, key)
	}
}

// want compares the client's presences with the table.
func (c *presenceClient) want(table people) {
	c.t.Helper()
	got, _ := json.Marshal(c.state)
	want, _ := json.Marshal(table)
	if string(got) != string(want) {
		c.t.Fatalf("the client has\n%s\nthe table\n%s", got, want)
	}
}

var _ fataler = testing.TB(nil)
