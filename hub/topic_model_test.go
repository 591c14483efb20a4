package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// TestTopicReadersSeeEachEventOrAreTold compares a topic with a short history with a model: each reader gets
// consecutive events, or a reset first; an id is published once; and the last ephemeral event that a reader gets of a
// sender is the newest.
func TestTopicReadersSeeEachEventOrAreTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := hub.New(hub.Options{Limits: hub.Limits{HistoryEvents: 8}})
		defer h.Close()
		m := &topicModel{t: t, hub: h, ids: map[string]string{}, newest: map[string]int{}}
		m.clients = make([]topicClient, 3)
		for i := range m.clients {
			m.clients[i].next = 1
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish":   m.publish,
			"repeat":    m.repeat,
			"ephemeral": m.ephemeral,
			"read":      m.read,
			"cut":       m.cut,
			"":          func(*rapid.T) {},
		})
		for i := range m.clients {
			m.readOne(i)
		}
	})
}

type topicModel struct {
	t       *rapid.T
	hub     *hub.Hub
	n       int               // events published
	ids     map[string]string // positions by id
	last    string            // the last id used
	serial  int               // of ephemeral events
	newest  map[string]int    // by sender
	clients []topicClient
}

type topicClient struct {
	reader *hub.TopicReader
	after  log.Position
	joined bool
	next   int // the event that must come next
	seen   map[string]int
}

func (m *topicModel) put(id string, payload any, ephemeral bool, sender string) hub.Published {
	raw, _ := json.Marshal(payload)
	in := hub.EventInput{ID: id, Event: "e", Payload: raw, Ephemeral: ephemeral}
	out, err := m.hub.Publish("code:file:x", sender, []hub.EventInput{in})
	if err != nil {
		m.t.Fatal(err)
	}
	return out[0]
}

func (m *topicModel) publish(*rapid.T) {
	m.n++
	m.last = fmt.Sprint("id", m.n)
	m.ids[m.last] = m.put(m.last, m.n, false, "u").Position
}

func (m *topicModel) repeat(t *rapid.T) {
	if m.last == "" {
		t.Skip()
	}
	if got := m.put(m.last, m.n, false, "u").Position; got != m.ids[m.last] {
		t.Fatalf("the repetition of %s is at %s, the first at %s", m.last, got, m.ids[m.last])
	}
	other := []hub.EventInput{{ID: m.last, Event: "e", Payload: json.RawMessage(`"other"`)}}
	if _, err := m.hub.Publish("code:file:x", "u", other); !errors.Is(err, errs.ErrConflict) {
		t.Fatalf("%s with another payload: %v", m.last, err)
	}
}

func (m *topicModel) ephemeral(t *rapid.T) {
	sender := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "sender")
	m.serial++
	m.newest[sender] = m.serial
	if p := m.put("", map[string]any{"s": sender, "n": m.serial}, true, sender); p.Position != "" {
		t.Fatalf("an ephemeral event has the position %s", p.Position)
	}
}

func (m *topicModel) cut(t *rapid.T) {
	c := &m.clients[rapid.IntRange(0, 2).Draw(t, "client")]
	if c.reader != nil {
		c.reader.Close()
		c.reader = nil
	}
}

func (m *topicModel) read(t *rapid.T) { m.readOne(rapid.IntRange(0, 2).Draw(t, "client")) }

// readOne reads all that one client can read. A client that was cut off resumes first.
func (m *topicModel) readOne(i int) {
	c := &m.clients[i]
	told := false
	if c.reader == nil {
		var reset *log.Reset
		var err error
		if c.reader, reset, err = m.hub.Subscribe("code:file:x", c.after, log.NewWake()); err != nil {
			m.t.Fatal(err)
		}
		c.seen = map[string]int{}
		c.after = c.reader.Start()
		told = reset != nil || !c.joined
		c.joined = true
	}
	for {
		items, reset := c.reader.Read(nil)
		told = told || reset != nil
		if len(items) == 0 {
			break
		}
		for _, item := range items {
			m.take(i, item, &told)
		}
	}
	for sender, n := range m.newest {
		if c.seen[sender] != n {
			m.t.Fatalf("client %d saw %d of %s last; the newest is %d", i, c.seen[sender], sender, n)
		}
	}
	if c.next != m.n+1 && m.n > 0 {
		m.t.Fatalf("client %d waits for %d after reading all; %d were published", i, c.next, m.n)
	}
}

func (m *topicModel) take(i int, item log.Item, told *bool) {
	c := &m.clients[i]
	var envelope struct{ Payload json.RawMessage }
	if err := json.Unmarshal(item.Event.Data, &envelope); err != nil {
		m.t.Fatal(err)
	}
	if item.To == 0 {
		var e struct {
			S string
			N int
		}
		if err := json.Unmarshal(envelope.Payload, &e); err != nil || e.N <= c.seen[e.S] {
			m.t.Fatalf("client %d saw %s after %d (%v)", i, envelope.Payload, c.seen[e.S], err)
		}
		c.seen[e.S] = e.N
		return
	}
	var n int
	if err := json.Unmarshal(envelope.Payload, &n); err != nil {
		m.t.Fatal(err)
	}
	if n != c.next && !*told {
		m.t.Fatalf("client %d got event %d, waited for %d and was not told", i, n, c.next)
	}
	*told = false
	c.next = n + 1
	c.after = log.Position{Epoch: c.reader.Start().Epoch, Offset: item.To}
}
