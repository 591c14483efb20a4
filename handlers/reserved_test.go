package handlers_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/storage/memory"
)

// TestPayloadsBelongToTheApplication: on every transport a pushed payload arrives as it was pushed, whatever it has;
// only the member _duckwire is the server's.
func TestPayloadsBelongToTheApplication(t *testing.T) {
	for transport, open := range openSockets {
		t.Run(transport, func(t *testing.T) {
			s := startServer(t, nil, hub.Limits{}, nil)
			c := open(s, token(t, "ada", "*=*"))
			c.send(`["1","1","room","phx_join",{}]`)
			wantPrefix(t, c.next(), `["1","1","room","phx_reply",{"status":"ok"`)
			for i, p := range []struct{ pushed, delivered string }{
				{`{"id":"lamp","on":true}`, `{"id":"lamp","on":true}`},
				{`{"id":"lamp","on":false}`, `{"id":"lamp","on":false}`},
				{`{"id":42,"ephemeral":true,"durable":true,"to":["bob"],"payload":1}`, ``},
				{`[1,2,3]`, ``},
				{`"text"`, ``},
				{`null`, ``},
				{`0.10`, ``},
				{`12345678901234567890`, ``},
				{`{}`, ``},
				{`{"b":1,"a":2,"b":3}`, ``},
				{`{"_duckwire":{}}`, `{}`},
				{`{"a":1,"_duckwire":{"id":"a"},"b":"\u00e9"}`, `{"a":1,"b":"\u00e9"}`},
				{`{"\u005fduckwire":{"id":"b"},"a":1}`, `{"a":1}`},
				{`{"_duckwire":{"payload":[{"_duckwire":1}],"id":"c"}}`, `[{"_duckwire":1}]`},
				{`{"_duckwire":{"payload":null}}`, `null`},
				{`{"in":{"_duckwire":{"id":"d"}}}`, ``},
			} {
				want := p.delivered
				if want == "" {
					want = p.pushed
				}
				c.send(`["1","p%d","room","say",%s]`, i, p.pushed)
				broadcast, reply := twoFrames(c)
				if got := fmt.Sprintf(`[null,null,"room","say",%s]`, want); broadcast != got {
					t.Errorf("%s arrives as %s", p.pushed, broadcast)
				}
				wantPrefix(t, reply, fmt.Sprintf(`["1","p%d","room","phx_reply",{"status":"ok"`, i))
			}
		})
	}
}

// twoFrames returns the broadcast and the reply that a push results in.
func twoFrames(c socketPeer) (broadcast, reply string) {
	a, b := c.next(), c.next()
	if strings.Contains(a, `"phx_reply"`) {
		return b, a
	}
	return a, b
}

// TestReservedMemberIsChecked: a wrong member of _duckwire is refused by name, and publishes nothing.
func TestReservedMemberIsChecked(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	c := s.dialSocket(token(t, "ada", "*=*"))
	c.send(`["1","1","room","phx_join",{}]`)
	c.next()
	for _, p := range []struct{ payload, field, says string }{
		{`{"_duckwire":1}`, "_duckwire", "object"},
		{`{"_duckwire":null}`, "_duckwire", "object"},
		{`{"_duckwire":{},"_duckwire":{}}`, "_duckwire", "twice"},
		{`{"_duckwire":{"idd":"x"}}`, "_duckwire.idd", "did you mean id?"},
		{`{"_duckwire":{"nothing_like_it":"x"}}`, "_duckwire.nothing_like_it", "ephemeral"},
		{`{"_duckwire":{"id":7}}`, "_duckwire.id", "string"},
		{`{"_duckwire":{"id":""}}`, "_duckwire.id", "1 to 128"},
		{`{"_duckwire":{"id":"a b"}}`, "_duckwire.id", "A-Z"},
		{`{"_duckwire":{"ephemeral":"yes"}}`, "_duckwire.ephemeral", "true or false"},
		{`{"_duckwire":{"ephemeral":true,"durable":true,"to":["bob"]}}`, "_duckwire.durable", "ephemeral"},
		{`{"_duckwire":{"to":["bob"]}}`, "_duckwire.to", "durable"},
		{`{"_duckwire":{"payload":1},"a":1}`, "_duckwire.payload", "beside"},
	} {
		c.send(`["1","2","room","say",%s]`, p.payload)
		var fields []json.RawMessage
		var reply struct {
			Status   string
			Response struct{ Reason, Field, Detail string }
		}
		if err := json.Unmarshal([]byte(c.next()), &fields); err != nil {
			t.Fatal(err)
		}
		_ = json.Unmarshal(fields[4], &reply) // compared below
		r := reply.Response
		if reply.Status != "error" || r.Reason != "invalid" || r.Field != p.field || !strings.Contains(r.Detail, p.says) {
			t.Errorf("%s: %s", p.payload, fields[4])
		}
	}
}

// TestIDsAreBoundToTheirContent: at every door the same id and content is published once, and the same id with another
// content is a conflict, which leaves nothing behind.
func TestIDsAreBoundToTheirContent(t *testing.T) {
	const path, queue = "/v1/topics/room/events", "/v1/users/bob/messages"
	for name, options := range map[string]hub.Options{
		"one node":       {Queue: memory.NewQueue()},
		"a shared store": {Queue: memory.NewQueue(), Topics: memory.NewTopics()},
	} {
		t.Run(name, func(t *testing.T) {
			s := startHub(t, options, nil)
			tok := token(t, "ada", "*=*")
			bearer := "Authorization: Bearer " + tok
			for transport, open := range openSockets {
				c := open(s, tok)
				c.send(`["1","1","room","phx_join",{}]`)
				c.next()
				ref := 1
				push := func(payload string) (reply string) {
					ref++ // over SSE, a body that is sent again is ignored
					c.send(`["1","%d","room","say",{"n":%s,"_duckwire":{"id":%q}}]`, ref, payload, transport)
					for {
						if _, reply, ok := strings.Cut(c.next(), `"phx_reply",`); ok {
							return reply
						}
					}
				}
				first := push("1")
				wantPrefix(t, first, `{"status":"ok"`)
				if again := push("1"); again != first {
					t.Errorf("%s: the repetition is answered %s after %s", transport, again, first)
				}
				wantPrefix(t, push("2"), `{"status":"error","response":{"reason":"conflict"`)
				over := fmt.Sprintf(`{"id":%q,"event":"say","payload":{"n":3}}`, transport)
				s.expect(409, "POST", path, over, bearer)
				s.expect(200, "POST", path, fmt.Sprintf(`{"id":%q,"event":"say","payload":{"n":1}}`, transport), bearer)
			}
			s.expect(409, "POST", path, `[{"event":"a"},{"id":"x","event":"a","payload":1},{"id":"x","event":"b","payload":1}]`, bearer)
			s.expect(409, "POST", path, `[{"event":"a"},{"id":"SSE","event":"say"}]`, bearer)
			s.expect(409, "POST", path, `{"id":"SSE","event":"say","durable":true,"to":["bob"]}`, bearer)
			s.expect(201, "POST", queue, `{"id":"m","event":"e","payload":1}`, bearer)
			s.expect(201, "POST", queue, `{"id":"m","event":"e","payload":1}`, bearer)
			s.expect(409, "POST", queue, `{"id":"m","event":"e","payload":2}`, bearer)
			s.expect(409, "POST", queue, `[{"id":"n","event":"e"},{"id":"m","event":"f","payload":1}]`, bearer)
			s.expect(409, "POST", queue, `[{"id":"o","event":"e","payload":1},{"id":"o","event":"e","payload":2}]`, bearer)
			page := call[queueJSON](s, 200, "GET", messagesPath, "", as(t, "bob"))
			history := call[struct{ Events []any }](s, 200, "GET", path, "", bearer)
			if len(page.Messages) != 1 || len(history.Events) != len(openSockets) {
				t.Errorf("%d messages and %d events", len(page.Messages), len(history.Events))
			}
		})
	}
}
