package handlers_test

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
)

// TestChannelCompletionOverHTTP: a completion that was requested on a channel is an ordinary stream, and the same id is
// the same completion on each path.
func TestChannelCompletionOverHTTP(t *testing.T) {
	calls := 0
	s := startServer(t, scripted(func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
		calls++
		return hello(ctx, req, w)
	}), hub.Limits{}, nil)
	c := s.dialSocket(token(t, "u", "*=*"))
	const topic = "code:project:1"
	c.send(`["1","1",%q,"phx_join",{}]`, topic)
	c.send(
		`["1","2",%q,"request_completion",{"id":"mine","model":"m","code":"xy","cursor_position":{"line":1,"column":1}}]`,
		topic,
	)
	var id string
	for id == "" {
		var fields [5]json.RawMessage
		var reply struct {
			Response struct {
				ID string `json:"completion_id"`
			}
		}
		if err := json.Unmarshal([]byte(c.next()), &fields); err != nil {
			t.Fatal(err)
		}
		if string(fields[3]) == `"phx_reply"` && json.Unmarshal(fields[4], &reply) == nil {
			id = reply.Response.ID
		}
	}
	for _, name := range []string{id, "mine"} {
		if st := call[streamJSON](s, 200, "GET", "/v1/streams/"+name+"?wait=5&after=now", ""); st.ID != id {
			t.Errorf("by %s: %+v", name, st)
		}
	}
	sub := s.stream(
		"POST", "/v1/completions", `{"model":"m","prompt":"x","suffix":"y","stream":true,"duckwire":{"id":"mine"}}`,
	)
	if got := sub.resp.Header.Get("Duckwire-Stream"); got != id {
		t.Errorf("the door started %s; the channel had %s", got, id)
	}
	for b, ok := sub.next(); ok && b.data != "[DONE]"; b, ok = sub.next() {
	}
	if st := call[streamJSON](s, 200, "GET", "/v1/streams/"+id, ""); st.Text != "Hello" || st.Owner != "u" || calls != 1 {
		t.Errorf("%+v after %d calls", st, calls)
	}
}

// TestCompleteOverLongPoll: the reply to "complete" is sent when the stream has ended, to a poll that waits for it.
func TestCompleteOverLongPoll(t *testing.T) {
	s := startServer(t, scripted(hello), hub.Limits{}, nil)
	app := "token=" + url.QueryEscape(token(t, "a", "*=*"))
	session := app + "&token=" + url.QueryEscape(s.poll("GET", app, "").Token)
	s.poll(
		"POST", session,
		`["1","1","code:project:1","phx_join",{}]`+"\n"+`["1","2","code:project:1","complete",{"prefix":"x"}]`,
	)
	for range 10 {
		got := s.poll("GET", session, "")
		for _, m := range got.Messages {
			if strings.HasPrefix(m, `["1","2",`) {
				if !strings.Contains(m, `"status":"ok"`) || !strings.Contains(m, `"text":"Hello"`) {
					t.Errorf("the reply is %s", m)
				}
				return
			}
		}
		session = app + "&token=" + url.QueryEscape(got.Token)
	}
	t.Error("no reply")
}
