package handlers_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
)

// TestConversationsAreTheirOwnersOverHTTP: a conversation's owner is also checked over HTTP, not only on sockets.
func TestConversationsAreTheirOwnersOverHTTP(t *testing.T) {
	s := startServer(t, scripted(hello), hub.Limits{}, nil)
	a := s.dialSocket(token(t, "a", "conversation:*=subscribe,complete"))
	a.send(`["1","1","conversation:c-1","phx_join",{}]`)
	if reply := a.next(); !strings.Contains(reply, `"status":"ok"`) {
		t.Fatal(reply)
	}
	for _, tt := range []struct {
		user, cap, topic string
		want             int
	}{
		{"a", "conversation:lobby=subscribe", "conversation:c-1", 200},
		{"a", "conversation:lobby=subscribe", "status:c-1", 200},
		{"a", "none=subscribe", "conversation:c-1", 403},
		{"b", "*=subscribe", "conversation:c-1", 403},
		{"b", "conversation:*=subscribe", "conversation:c-1", 403},
		{"b", "status:*=subscribe", "status:c-1", 403},
		{"b", "status:*=subscribe", "status:not-begun", 403},
		{"b", "conversation:c-1=subscribe", "conversation:c-1", 200},
		{"b", "conversation:*=admin", "conversation:c-1", 200},
		{"b", "conversation:*=subscribe", "conversation:c-2", 200}, // has no owner yet
	} {
		bearer := "Authorization: Bearer " + token(t, tt.user, tt.cap)
		for _, path := range []string{"/v1/topics/" + tt.topic + "/events", "/v1/topics/" + tt.topic + "/presence"} {
			resp := s.do("GET", path, "", bearer)
			resp.Body.Close()
			if resp.StatusCode != tt.want {
				t.Errorf("%s with %s, %s: %d, want %d", tt.user, tt.cap, path, resp.StatusCode, tt.want)
			}
		}
		many := s.do("GET", "/v1/events?max=1&topic="+url.QueryEscape(tt.topic), "", "Accept: text/event-stream", bearer)
		many.Body.Close()
		if many.StatusCode != tt.want {
			t.Errorf("%s with %s on many topics with %s: %d, want %d", tt.user, tt.cap, tt.topic, many.StatusCode, tt.want)
		}
	}
	forge := `{"event":"response","payload":{"response":"forged"}}`
	s.expect(
		403, "POST", "/v1/topics/conversation:c-1/events", forge,
		"Authorization: Bearer "+token(t, "b", "conversation:*=publish"),
	)
	update := `{"event":"status_update","payload":{"category":"tool","text":"x"}}`
	s.expect(
		200, "POST", "/v1/topics/status:c-1/events", update,
		"Authorization: Bearer "+token(t, "worker", "status:*=publish"),
	)
}
