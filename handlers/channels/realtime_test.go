package channels_test

import (
	"fmt"
	"testing"

	"github.com/coder/websocket"
)

const room = "realtime:room"

// broadcast sends a broadcast in a frame of Supabase's client; encoding is 0 for bytes and 1 for JSON.
func (c *client) broadcast(event string, encoding byte, payload string) (ref string) {
	c.t.Helper()
	c.refs++
	ref, join := fmt.Sprint(c.refs), "j"+room
	frame := []byte{3, byte(len(join)), byte(len(ref)), byte(len(room)), byte(len(event)), 0, encoding}
	frame = append(frame, join+ref+room+event+payload...)
	if err := c.conn.Write(c.ctx, websocket.MessageBinary, frame); err != nil {
		c.t.Fatal(err)
	}
	return ref
}

// TestRealtimeBroadcasts: who gets a broadcast, in which form, and whether it is answered.
func TestRealtimeBroadcasts(t *testing.T) {
	s := start(t, nil)
	ada, bob, plain := s.dial("ada"), s.dial("bob"), s.dial("cleo")
	if joined := ada.join(room, `{"config":{"broadcast":{"self":"true","ack":true}}}`); len(joined) != 1 {
		t.Errorf("the reply is %v", joined)
	}
	bob.join(room, `{"config":{"broadcast":{"self":false},"postgres_changes":[]}}`)
	plain.join(room, `{}`)
	for _, c := range []struct {
		encoding                  byte
		payload, supabase, others string
	}{
		{1, `{"x":[1]}`, "", `{"type":"broadcast","event":"e","payload":{"x":[1]}}`},
		{0, "hi\x00", "hi\x00", `{"type":"broadcast","event":"e","bytes":"aGkA"}`},
	} {
		status, answer := ada.reply(ada.broadcast("e", c.encoding, c.payload))
		if status != "ok" || answer["position"] == "" {
			t.Errorf("the answer is %s %v", status, answer)
		}
		for _, reader := range []*client{ada, bob, plain} {
			m := reader.next()
			asBytes := c.supabase != "" && reader != plain
			if asBytes && (m.Event != "e" || string(m.Binary) != c.supabase) || !asBytes && string(m.Payload) != c.others {
				t.Errorf("%q is received as %+v", c.payload, m)
			}
		}
	}
	// bob gets no answer and not his own, but learns of an error.
	bob.broadcast("e", 1, `{}`)
	bob.broadcast("", 1, `{}`)
	if m := bob.next(); m.Event != "phx_reply" || object(t, m.Payload)["status"] != "error" {
		t.Errorf("bob got %+v", m)
	}
	if got := ada.want("broadcast"); got["event"] != "e" {
		t.Errorf("ada got %v", got)
	}
}

// TestRealtimePresence: the key is the client's choice, and the server says who it is.
func TestRealtimePresence(t *testing.T) {
	s := start(t, nil)
	ada, bob := s.dial("ada"), s.dial("bob", room+"=subscribe")
	for _, c := range []*client{ada, bob} {
		c.presences = true
		c.join(room, `{"config":{"presence":{"enabled":true,"key":"bob"}}}`)
		c.want("presence_state")
	}
	ada.ok(room, "presence", `{"event":"track","payload":{"_duckwire":{"user":"bob"},"mood":1}}`)
	joins := bob.want("presence_diff")["joins"].(map[string]any)
	meta := joins["bob"].(map[string]any)["metas"].([]any)[0].(map[string]any)
	if meta["mood"] != 1.0 || meta["_duckwire"].(map[string]any)["user"] != "ada" {
		t.Errorf("the meta is %v", meta)
	}
	if _, refused := bob.ask(room, "presence", `{"event":"track"}`); refused["reason"] != "forbidden" {
		t.Errorf("the answer is %v", refused)
	}
	for payload, field := range map[string]string{
		`{"event":"trakc"}`: "event", `{"event":"track","payload":[1]}`: "payload", `{}`: "event",
	} {
		if _, refused := ada.ask(room, "presence", payload); refused["field"] != field {
			t.Errorf("%s: %v", payload, refused)
		}
	}
	ada.ok(room, "presence", `{"event":"untrack"}`)
	if leaves := bob.want("presence_diff")["leaves"].(map[string]any); leaves["bob"] == nil {
		t.Errorf("the leaves are %v", leaves)
	}
}

// TestRealtimeConfig: what is wrong in a join is named, and the socket lives on.
func TestRealtimeConfig(t *testing.T) {
	ada := start(t, nil).dial("ada")
	for params, field := range map[string]string{
		`{"config":7}`: "config",
		`{"config":{"broadcast":{"self":"maybe"}}}`:             "config",
		`{"config":{"broadcast":{"replay":{"limit":0}}}}`:       "config.broadcast.replay.limit",
		`{"config":{"broadcast":{"replay":{"since":"today"}}}}`: "config.broadcast.replay.since",
		`{"config":{"presence":{"key":{}}}}`:                    "config",
	} {
		if status, refused := ada.ask(room, "phx_join", params); status != "error" || refused["field"] != field {
			t.Errorf("%s: %s %v", params, status, refused)
		}
	}
	ada.join(room, `{"config":null}`)
}
