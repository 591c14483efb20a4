package handlers_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// The load of TestCursors, which is that of a busy file.
const (
	cursorPeople = 50
	cursorRate   = 60 // a second, from each
	cursorMoves  = 60 // of each
	cursorEdits  = 100
)

// cursorView is what one client has received from the others.
type cursorView struct {
	line  map[string]int // the last position of each person
	seen  map[string]int // how many of each
	edits []int
}

func newCursorView() *cursorView { return &cursorView{line: map[string]int{}, seen: map[string]int{}} }

// take processes a frame. Cursors must not move backwards.
func (v *cursorView) take(t *testing.T, frame string) {
	t.Helper()
	var fields []json.RawMessage
	var p struct {
		User     string `json:"user_id"`
		Position struct{ Line int }
		Changes  struct{ From int }
	}
	if err := json.Unmarshal([]byte(frame), &fields); err != nil || json.Unmarshal(fields[4], &p) != nil {
		t.Fatalf("not a frame: %s", frame)
	}
	switch string(fields[3]) {
	case `"cursor_update"`:
		if p.Position.Line < v.line[p.User] {
			t.Fatalf("the cursor of %s goes back from %d to %d", p.User, v.line[p.User], p.Position.Line)
		}
		v.line[p.User] = p.Position.Line
		v.seen[p.User]++
	case `"code_updated"`:
		v.edits = append(v.edits, p.Changes.From)
	}
}

// complete reports whether the newest event of each kind was received.
func (v *cursorView) complete() bool {
	if len(v.edits) < cursorEdits || len(v.line) < cursorPeople {
		return false
	}
	for _, line := range v.line {
		if line < cursorMoves {
			return false
		}
	}
	return true
}

// check checks that every edit was received once and in order.
func (v *cursorView) check(t *testing.T) {
	t.Helper()
	for i, from := range v.edits {
		if from != i+1 {
			t.Fatalf("edit %d is number %d", from, i+1)
		}
	}
}

// TestCursors: fifty users move their cursors sixty times per second in one file, while one user types. A fast reader
// receives the movements, a slow one the current positions, and a late one those at its join. No edit waits for a
// cursor, or is lost because of one.
func TestCursors(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	const topic = "code:file:main.go"
	join := func(name string) *wsClient {
		c := s.dialSocket(token(t, name, "code:*=*"))
		c.send(`["1","1",%q,"phx_join",{"client_id":%q}]`, topic, name)
		return c
	}
	fast := join("fast")
	slow := s.pollSocket(t, token(t, "slow", "code:*=*"), fmt.Sprintf(`["1","1",%q,"phx_join",{}]`, topic))

	var people sync.WaitGroup
	for i := range cursorPeople {
		people.Go(func() { moveCursors(join(fmt.Sprint("p", i)), topic) })
	}
	people.Go(func() {
		typist := join("typist")
		for n := range cursorEdits {
			typist.send(`["1","%d",%q,"code_change",{"changes":{"from":%d,"to":%d,"text":"x"}}]`, n+2, topic, n+1, n+2)
		}
	})
	seen := newCursorView()
	for !seen.complete() {
		seen.take(t, fast.next())
	}
	people.Wait()
	seen.check(t)
	moves := 0
	for _, n := range seen.seen {
		moves += n
	}
	if moves <= 2*cursorPeople {
		t.Errorf("the fast reader saw no more than %d moves of %d", moves, cursorPeople*cursorMoves)
	}

	late := newCursorView()
	for !late.complete() {
		for _, frame := range slow() {
			late.take(t, frame)
		}
	}
	late.check(t)
	for name, n := range late.seen {
		if n != 1 {
			t.Errorf("the slow reader gets %d places of %s", n, name)
		}
	}
	joiner, now := join("joiner"), newCursorView()
	for len(now.line) < cursorPeople {
		now.take(t, joiner.next())
	}
}

// moveCursors moves a cursor at a constant rate.
func moveCursors(c *wsClient, topic string) {
	tick := time.NewTicker(time.Second / cursorRate)
	defer tick.Stop()
	for n := range cursorMoves {
		<-tick.C
		c.send(`["1","%d",%q,"cursor_position",{"position":{"line":%d,"column":1}}]`, n+2, topic, n+1)
	}
}

// pollSocket opens a long-poll socket and joins. It returns a function that reads the next frames.
func (s *testServer) pollSocket(t *testing.T, tok, join string) (read func() []string) {
	t.Helper()
	app := "token=" + url.QueryEscape(tok)
	last := s.poll("GET", app, "").Token
	read = func() []string {
		got := s.poll("GET", app+"&token="+url.QueryEscape(last), "")
		last = got.Token
		return got.Messages
	}
	s.poll("POST", app+"&token="+url.QueryEscape(last), join)
	read() // the reply
	return read
}
