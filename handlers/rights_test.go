package handlers_test

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/rights"
)

// TestRights tests every path with every capability: a request is allowed exactly if it should be, and a refusal
// reveals nothing.
func TestRights(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startServer(t, analyst{scripted(hello), noIssues}, hub.Limits{}, nil)
		owner := "Authorization: Bearer " + token(t, "owner", "*=*")
		mine := call[streamJSON](s, 201, "POST", "/v1/streams", `{"id":"on-topic","topic":"t:1"}`, owner).ID
		private := call[streamJSON](s, 201, "POST", "/v1/streams", `{"id":"private"}`, owner).ID
		all := []rights.Action{
			rights.ActionSubscribe, rights.ActionPublish, rights.ActionPresence, rights.ActionComplete, rights.ActionProduce,
			rights.ActionQueue, rights.ActionAct, rights.ActionAdmin, rights.ActionAll,
		}
		const topic = "/v1/topics/t:1/events"
		cases := []struct {
			name, method, path, body string
			headers                  string
			pattern                  string // of the capability
			allowed                  string // sufficient actions, in addition to admin and *
			refusal                  int
		}{
			{"publish", "POST", topic, `{"event":"e"}`, "", "t:1", "publish", 403},
			{"publish elsewhere", "POST", topic, `{"event":"e"}`, "", "t:2", "", 403},
			{"history", "GET", topic, "", "", "t:1", "subscribe", 403},
			{"history elsewhere", "GET", topic, "", "", "t:12", "", 403},
			{"history by prefix", "GET", topic, "", "", "t:*", "subscribe", 403},
			{"follow", "GET", topic + "?max=1", "", "Accept: text/event-stream", "t:1", "subscribe", 403},
			{"many", "GET", "/v1/events?max=1&topic=t:1", "", "Accept: text/event-stream", "t:1", "subscribe", 403},
			{
				"many, one of them forbidden", "GET", "/v1/events?max=1&topic=t:1&topic=t:2", "", "Accept: text/event-stream",
				"t:1", "", 403,
			},
			{"who is there", "GET", "/v1/topics/t:1/presence", "", "", "t:1", "subscribe presence", 403},
			{"who is there, elsewhere", "GET", "/v1/topics/t:1/presence", "", "", "t:2", "", 403},
			// neither alone
			{"be there", "GET", topic + "?max=1&presence=1", "", "Accept: text/event-stream", "t:1", "subscribe,presence", 403},
			{"read a stream of the topic", "GET", "/v1/streams/" + mine, "", "", "t:1", "subscribe", 404},
			{
				"read a stream of the topic live", "GET", "/v1/streams/" + mine + "?max=1", "", "Accept: text/event-stream",
				"t:1", "subscribe", 404,
			},
			{
				"read its text", "GET", "/v1/streams/" + private, "", "Accept: application/json", "stream:private", "subscribe",
				404,
			},
			{"read a private stream by another topic", "GET", "/v1/streams/" + private, "", "", "t:*", "", 404},
			{"complete", "POST", chatPath, chatBody(""), "", "user:x", "complete", 403},
			{"complete on a topic", "POST", chatPath, chatBody(`,"duckwire":{"topic":"t:1"}`), "", "t:1", "complete", 403},
			{"complete on a topic elsewhere", "POST", chatPath, chatBody(`,"duckwire":{"topic":"t:1"}`), "", "t:2", "", 403},
			{"create a stream", "POST", "/v1/streams", `{}`, "", "x", "produce", 403},
			{"create a stream on a topic", "POST", "/v1/streams", `{"topic":"t:1"}`, "", "t:1", "produce", 403},
			{"append", "POST", "/v1/streams/" + mine + "/append", `{"text":"x"}`, ndjson, "t:1", "produce", 404},
			{"analyse", "POST", "/v1/analyses", analysisJSON(""), "", "user:x", "complete", 403},
			{"analyse on a topic", "POST", "/v1/analyses", analysisJSON(`,"topic":"t:1"`), "", "t:1", "complete", 403},
			{"analyse on a topic elsewhere", "POST", "/v1/analyses", analysisJSON(`,"topic":"t:1"`), "", "t:2", "", 403},
			{"take jobs", "GET", jobsPath + "?worker=w&types=none", "", "", "worker:analysis", "produce", 403},
			{"take jobs elsewhere", "GET", jobsPath + "?worker=w&types=none", "", "", "worker:other", "", 403},
			{"leave a message", "POST", "/v1/users/ada/messages", `{"event":"e"}`, "", "user:ada", "queue", 403},
			{"leave a message elsewhere", "POST", "/v1/users/ada/messages", `{"event":"e"}`, "", "user:bob", "", 403},
			{"leave oneself a message", "POST", messagesPath, `{"event":"e"}`, "", "user:guest", "queue", 403},
			// without publish
			{
				"publish for somebody who is away", "POST", topic, `{"event":"e","to":["ada"],"durable":true}`, "", "user:ada",
				"", 403,
			},
			{"publish for somebody elsewhere", "POST", topic, `{"event":"e","to":["ada"],"durable":true}`, "", "t:1", "", 403},
			{"read another's messages", "GET", "/v1/users/ada/messages", "", "", "user:ada", "admin", 403},
			{
				"follow another's messages", "GET", "/v1/users/ada/messages?max=1", "", "Accept: text/event-stream", "user:ada",
				"admin", 403,
			},
			{"read messages elsewhere", "GET", "/v1/users/ada/messages", "", "", "user:bob", "", 403},
			{
				"acknowledge another's messages", "POST", "/v1/users/ada/messages/ack", `{"through":"0"}`, "", "user:ada",
				"admin", 403,
			},
			{"acknowledge messages elsewhere", "POST", "/v1/users/ada/messages/ack", `{"through":"0"}`, "", "user:bob", "", 403},
			{"disconnect a user", "POST", "/v1/users/ada/disconnect", "", "", "user:ada", "admin", 403},
			{"disconnect a user elsewhere", "POST", "/v1/users/ada/disconnect", "", "", "user:bob", "", 403},
			{"revoke a user's tokens", "POST", "/v1/revocations", `{"user":"ada"}`, "", "user:ada", "admin", 403},
			{"revoke a user's tokens elsewhere", "POST", "/v1/revocations", `{"user":"ada"}`, "", "user:bob", "", 403},
			{"revoke a token", "POST", "/v1/revocations", `{"jti":"t"}`, "", "*", "admin", 403},
			{"revoke a token by less than everything", "POST", "/v1/revocations", `{"jti":"t"}`, "", "user:*", "", 403},
			{"see a user's revocation", "GET", "/v1/revocations?user=ada", "", "", "user:ada", "admin", 403},
			{"see all revocations", "GET", "/v1/revocations", "", "", "*", "admin", 403},
			{"see all revocations by less than everything", "GET", "/v1/revocations", "", "", "user:*", "", 403},
			{"cancel another's", "DELETE", "/v1/streams/" + private, "", "", "stream:private", "", 404},
		}
		for _, c := range cases {
			for _, a := range all {
				allowed := strings.Contains(" "+c.allowed+" ", " "+string(a)+" ") || c.allowed != "" &&
					(a == rights.ActionAdmin || a == rights.ActionAll)
				if c.method == "DELETE" {
					allowed = a == rights.ActionAdmin || a == rights.ActionAll
				}
				resp := s.do(
					c.method, c.path, c.body, "Authorization: Bearer "+token(t, "guest", fmt.Sprintf("%s=%s", c.pattern, a)),
					cmp.Or(c.headers, "X-None: 1"),
				)
				raw, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				got := resp.StatusCode < 300
				refused := resp.StatusCode == c.refusal || resp.StatusCode == 403 // 403 for those who may see it
				if got != allowed || !got && !refused {
					t.Errorf("%s with %s on %s: %s, want allowed=%v: %s", c.name, a, c.pattern, resp.Status, allowed, raw)
				}
			}
		}
		for _, path := range []string{
			topic, "/v1/events?topic=a", "/v1/streams/" + mine, "/v1/streams", "/v1/models", jobsPath, messagesPath,
		} {
			for _, auth := range []string{"", "Bearer x", "Bearer " + token(t, "u") + "x", "Basic dTpw"} {
				resp := s.do("GET", path, "", "Authorization: "+auth)
				resp.Body.Close()
				if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") == "" {
					t.Errorf("%s with %q: %s", path, auth, resp.Status)
				}
			}
		}
	})
}

// TestOwnersSeeTheirOwn: an owner without any right to read can read and list its own streams, and no others.
func TestOwnersSeeTheirOwn(t *testing.T) {
	s := startServer(t, scripted(hello), hub.Limits{}, nil)
	alice := "Authorization: Bearer " + token(t, "alice", "x=complete")
	bob := "Authorization: Bearer " + token(t, "bob", "x=complete")
	resp := s.do("POST", chatPath, chatBody(""), alice)
	resp.Body.Close()
	path := resp.Header.Get("Location")
	call[streamJSON](s, 200, "GET", path, "", alice)
	call[problem](s, 404, "GET", path, "", bob)
	type list struct{ Streams []streamJSON }
	if l := call[list](s, 200, "GET", "/v1/streams", "", alice); len(l.Streams) != 1 || l.Streams[0].Owner != "alice" {
		t.Errorf("alice sees %+v", l)
	}
	if l := call[list](s, 200, "GET", "/v1/streams", "", bob); len(l.Streams) != 0 {
		t.Errorf("bob sees %+v", l)
	}
	admin := "Authorization: Bearer " + token(t, "root", "*=admin")
	if l := call[list](s, 200, "GET", "/v1/streams?status=done", "", admin); len(l.Streams) != 1 {
		t.Errorf("an admin sees %+v", l)
	}
}
