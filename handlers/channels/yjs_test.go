package channels_test

import (
	"slices"
	"testing"

	"github.com/duckwire/duckwire/hub"
)

const notes = "yjs:notes"

// update is a message of y-protocols with an update, whose content the server does not read.
func update(content string) []byte { return append([]byte{0, 2, byte(len(content))}, content...) }

func (c *client) wantYjs(want ...[]byte) {
	c.t.Helper()
	for _, w := range want {
		m := c.next()
		for m.Event == "phx_reply" {
			m = c.next()
		}
		if m.Event != "yjs" || !slices.Equal(m.Binary, w) {
			c.t.Fatalf("got %s %q %s, want %q", m.Event, m.Binary, m.Payload, w)
		}
	}
}

// yjs pushes a message, which must be accepted.
func (c *client) yjs(event string, b []byte) {
	c.t.Helper()
	if status, refused := c.reply(c.sendBytes(notes, event, b)); status != "ok" {
		c.t.Fatalf("%q: %v", b, refused)
	}
}

var (
	upToDate = []byte{0, 1, 2, 0, 0}               // the end of the answer to a client's sync
	nothing  = []byte{0, 0, 1, 0}                  // the sync of a client without content
	some     = []byte{0, 0, 3, 1, 42, 7}           // that of a client that has 7 changes of client 42
	everyone = []byte{0, 0, 1, 0}                  // the question for everything
	beyond   = []byte{0, 0, 3, 1, 42, 7}           // the question for what is beyond these changes
	moved    = []byte{1, 6, 1, 42, 5, 2, '{', '}'} // awareness: client 42 at clock 5
)

// TestYjsSync: a client gets the log, then the end, then the question for what the log lacks.
func TestYjsSync(t *testing.T) {
	s := start(t, nil)
	ada := s.dial("ada")
	ada.join(notes, `{}`)
	ada.yjs("yjs_sync", nothing)
	ada.wantYjs(upToDate)
	ada.yjs("yjs", update("one"))
	bob := s.dial("bob")
	bob.join(notes, `{}`)
	bob.yjs("yjs_sync", some)
	bob.wantYjs(update("one"), upToDate, everyone)
	bob.yjs("yjs", append([]byte{0, 1, 4}, "both"...)) // the whole state
	ada.wantYjs(update("both"))
	cleo := s.dial("cleo")
	cleo.join(notes, `{}`)
	cleo.yjs("yjs_sync", some)
	cleo.wantYjs(update("one"), update("both"), upToDate, beyond)
	cleo.yjs("yjs", []byte{0, 1, 2, 0, 0}) // it has nothing else, so nobody hears of it
	cleo.yjs("yjs", update("two"))
	ada.wantYjs(update("two"))
	bob.wantYjs(update("two"))
}

// TestYjsWholeState: a client is asked before the history drops an update, and its state covers all before it.
func TestYjsWholeState(t *testing.T) {
	s := serve(t, hub.Options{Limits: hub.Limits{HistoryEvents: 10}}, nil)
	ada := s.dial("ada")
	ada.join(notes, `{}`)
	ada.yjs("yjs_sync", nothing)
	ada.wantYjs(upToDate)
	for range 6 {
		ada.yjs("yjs", update("u"))
	}
	ada.wantYjs(everyone)
	for range 3 {
		ada.yjs("yjs", update("u"))
	}
	if _, refused := ada.reply(ada.sendBytes(notes, "yjs", update("u"))); refused["reason"] != "rate_limited" {
		t.Fatalf("the tenth update: %v", refused)
	}
	ada.yjs("yjs", append([]byte{0, 1, 5}, "whole"...))
	for range 4 {
		ada.yjs("yjs", update("v"))
	}
	bob := s.dial("bob")
	bob.join(notes, `{}`)
	bob.yjs("yjs_sync", nothing)
	u, v := update("u"), update("v")
	// The question came behind the sixth update. The first four have been dropped.
	bob.wantYjs(u, u, u, u, u, update("whole"), v, v, v, v, upToDate)
}

// TestYjsAwareness: what is not new is dropped, the current cursors are there for a late joiner, and those of a client
// that leaves end.
func TestYjsAwareness(t *testing.T) {
	s := start(t, nil)
	ada, bob := s.dial("ada"), s.dial("bob", notes+"=subscribe,presence")
	ada.join(notes, `{}`)
	bob.join(notes, `{}`)
	ada.yjs("yjs", moved)
	bob.wantYjs(moved)
	bob.yjs("yjs", moved) // as Yjs clients do
	ada.yjs("yjs", update("x"))
	bob.wantYjs(update("x"))
	cleo := s.dial("cleo", notes+"=subscribe")
	cleo.join(notes, `{}`)
	cleo.wantYjs(update("x"), moved)
	for _, b := range [][]byte{moved, update("y")} {
		if _, refused := cleo.reply(cleo.sendBytes(notes, "yjs", b)); refused["reason"] != "forbidden" {
			t.Errorf("%q: %v", b, refused)
		}
	}
	ada.ok(notes, "phx_leave", `{}`)
	left := []byte{1, 8, 1, 42, 5, 4, 'n', 'u', 'l', 'l'}
	bob.wantYjs(left)
	cleo.wantYjs(left)
}
