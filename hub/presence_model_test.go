package hub_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

const presenceTopic = "code:project:42"

// TestPresenceReadersAgreeWithTheTable compares the table with a model, and with readers that lag, lose changes and
// come back. What a Phoenix client makes of the states and diffs that it gets always equals the table, in the same
// order, and there are exactly as many diffs as visible changes.
func TestPresenceReadersAgreeWithTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbled{t}, func(t *rapid.T) {
			h := hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler)})
			defer h.Close()
			m := &presenceModel{t: t, hub: h, metas: map[string][]*modelMeta{}}
			m.observer = newPresenceClient(t, h, presenceTopic, log.NewWake())
			defer m.observer.reader.Close()
			for range 3 {
				c := newPresenceClient(t, h, presenceTopic, log.NewWake())
				defer c.reader.Close()
				m.readers = append(m.readers, c)
			}
			t.Repeat(map[string]func(*rapid.T){
				"track": m.track, "update": m.update, "leave": m.leave, "drop": m.drop,
				"pass": m.pass, "storm": m.storm, "read": m.read, "": m.check,
			})
			for _, c := range m.readers {
				c.read()
				c.want(m.table())
			}
		})
	})
}

// bubbled is a test without a deadline: the deadline is in real time, which a synctest bubble does not have.
type bubbled struct{ testing.TB }

type presenceModel struct {
	t        *rapid.T
	hub      *hub.Hub
	sessions []*hub.Presence
	metas    map[string][]*modelMeta
	diffs    int // that there should have been
	observer *presenceClient
	readers  []*presenceClient
}

type modelMeta struct {
	key, client, meta string
	owner             int       // a session
	until             time.Time // zero: live
	ref               string
	changed           bool // since ref was seen
}

var (
	drawKey    = rapid.SampledFrom([]string{"u1", "u2", "__proto__"})
	drawClient = rapid.SampledFrom([]string{"", "c1", "c2"})
	drawMeta   = rapid.SampledFrom([]string{`{}`, `{"s":1}`, `{"s":2,"x":"a\"b"}`})
)

func (m *presenceModel) table() people { return decodePeople(m.t, m.hub.Presences(presenceTopic)) }

// owned returns what the session owns, or nil.
func (m *presenceModel) owned(session int) *modelMeta {
	for _, list := range m.metas {
		for _, x := range list {
			if x.owner == session {
				return x
			}
		}
	}
	return nil
}

func (m *presenceModel) remove(x *modelMeta) {
	m.metas[x.key] = slices.DeleteFunc(m.metas[x.key], func(y *modelMeta) bool { return x == y })
	if len(m.metas[x.key]) == 0 {
		delete(m.metas, x.key)
	}
}

func (m *presenceModel) set(x *modelMeta, meta string) {
	if x.meta == meta {
		return
	}
	m.remove(x)
	x.meta, x.changed = meta, true
	m.metas[x.key] = append(m.metas[x.key], x)
	m.diffs++
}

func (m *presenceModel) track(t *rapid.T) {
	key, client, meta := drawKey.Draw(t, "key"), drawClient.Draw(t, "client"), drawMeta.Draw(t, "meta")
	p, err := m.hub.Track(presenceTopic, key, client, json.RawMessage(meta))
	if err != nil {
		t.Fatal(err)
	}
	session := len(m.sessions)
	m.sessions = append(m.sessions, p)
	for _, x := range m.metas[key] {
		if client == "" && !x.until.IsZero() || client != "" && client == x.client {
			x.owner, x.client, x.until = session, client, time.Time{}
			m.set(x, meta)
			return
		}
	}
	m.metas[key] = append(m.metas[key], &modelMeta{key: key, client: client, meta: meta, owner: session, changed: true})
	m.diffs++
}

// session draws a session. Most of them have left, or were taken over.
func (m *presenceModel) session(t *rapid.T) int {
	if len(m.sessions) == 0 {
		t.Skip()
	}
	return rapid.IntRange(max(0, len(m.sessions)-8), len(m.sessions)-1).Draw(t, "session")
}

func (m *presenceModel) update(t *rapid.T) {
	i, meta := m.session(t), drawMeta.Draw(t, "meta")
	if err := m.sessions[i].Update(json.RawMessage(meta)); err != nil {
		t.Fatal(err)
	}
	if x := m.owned(i); x != nil && x.until.IsZero() {
		m.set(x, meta)
	}
}

func (m *presenceModel) leave(t *rapid.T) {
	i := m.session(t)
	m.sessions[i].Leave()
	m.left(i)
}

func (m *presenceModel) left(session int) {
	if x := m.owned(session); x != nil {
		m.remove(x)
		m.diffs++
	}
}

func (m *presenceModel) drop(t *rapid.T) {
	i, grace := m.session(t), time.Duration(rapid.IntRange(0, 5).Draw(t, "grace"))*time.Second
	m.sessions[i].Drop(grace)
	if grace == 0 {
		m.left(i)
	} else if x := m.owned(i); x != nil && x.until.IsZero() {
		x.until = time.Now().Add(grace)
	}
}

func (m *presenceModel) pass(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)
	synctest.Wait()
	for _, list := range maps.Clone(m.metas) {
		for _, x := range slices.Clone(list) {
			if !x.until.IsZero() && !x.until.After(time.Now()) {
				m.remove(x)
				m.diffs++
			}
		}
	}
}

// storm is more changes than are kept for readers that lag.
func (m *presenceModel) storm(t *rapid.T) {
	i := m.session(t)
	x := m.owned(i)
	if x == nil || !x.until.IsZero() {
		t.Skip()
	}
	for n := range rapid.SampledFrom([]int{60, 130, 300}).Draw(t, "n") {
		meta := fmt.Sprintf(`{"n":%d}`, n)
		if err := m.sessions[i].Update(json.RawMessage(meta)); err != nil {
			t.Fatal(err)
		}
		m.set(x, meta)
		if x.changed = false; n%50 == 0 {
			m.observer.read()
		}
	}
	x.ref, x.changed = "", true
}

func (m *presenceModel) read(t *rapid.T) {
	c := m.readers[rapid.IntRange(0, len(m.readers)-1).Draw(t, "reader")]
	c.read()
	c.want(m.table())
}

// check compares the table with the model: metas and their order, and the refs, which change exactly when a meta does.
func (m *presenceModel) check(t *rapid.T) {
	table := m.table()
	if len(table) != len(m.metas) {
		t.Fatalf("the table holds %v, the model %v", table, m.metas)
	}
	seen := map[string]bool{}
	for key, list := range m.metas {
		if len(table[key].Metas) != len(list) {
			t.Fatalf("%s: the table holds %v, the model %v", key, table[key], list)
		}
		for i, x := range list {
			m.checkMeta(t, table[key].Metas[i], x)
			if seen[x.ref] {
				t.Fatalf("the ref %s stands twice in %v", x.ref, table)
			}
			seen[x.ref] = true
		}
	}
	m.observer.read()
	m.observer.want(table)
	if m.observer.diffs != m.diffs || m.observer.states != 1 {
		t.Fatalf("%d diffs for %d changes, %d states", m.observer.diffs, m.diffs, m.observer.states)
	}
}

func (m *presenceModel) checkMeta(t *rapid.T, got map[string]any, x *modelMeta) {
	ref, _ := got["phx_ref"].(string)
	prev, _ := got["phx_ref_prev"].(string)
	if ref == "" || x.changed == (ref == x.ref) || x.changed && x.ref != "" && prev != x.ref {
		t.Fatalf("%+v has the ref %q after %q", x, ref, prev)
	}
	x.ref, x.changed = ref, false
	delete(got, "phx_ref")
	delete(got, "phx_ref_prev")
	var want map[string]any
	_ = json.Unmarshal([]byte(x.meta), &want)
	if !maps.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	got["phx_ref"] = ref
	if prev != "" {
		got["phx_ref_prev"] = prev
	}
}
