package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// owner starts a completion, and returns the owner of its stream, which an admin looks up.
func (s *testServer) owner(body string, headers ...string) string {
	s.t.Helper()
	resp := s.do("POST", chatPath, body, headers...)
	defer resp.Body.Close()
	if raw, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
		s.t.Fatalf("%s: %s", resp.Status, raw)
	}
	return call[streamJSON](s, 200, "GET", resp.Header.Get("Location"), "").Owner
}

// TestWhoMayAct: for whom a credential may act with the header Duckwire-User, and what is answered otherwise.
func TestWhoMayAct(t *testing.T) {
	s := startKeyed(t, scripted(hello), hub.Limits{}, nil)
	acting := as(t, "svc", "*=complete", "user:a*=act")
	for _, c := range []struct {
		name, credential, user string
		status                 int
		want                   string // the stream's owner, or part of the refusal
	}{
		{"a key that may act for all", keyOf("backend"), "ada", 200, "ada"},
		{
			"for the user of an old token's sub", keyOf("backend"), "user?id=01234567-89ab-cdef-0123-456789abcdef", 200,
			"01234567-89ab-cdef-0123-456789abcdef",
		},
		{"for a user with other letters", keyOf("backend"), "zoë 😀|x", 200, "zoë 😀|x"},
		{"for itself", keyOf("plain"), "plain", 200, "plain"},
		{"a key by default", keyOf("plain"), "ada", 403, `the action "act" is not allowed on the topic "user:ada"`},
		{"a key that may act for some", keyOf("team"), "team-1", 200, "team-1"},
		{"for another", keyOf("team"), "ada", 403, `Duckwire-User: the action "act"`},
		{"an admin's key", keyOf("root"), "ada", 200, "ada"},
		{"a token that may act", acting, "ada", 200, "ada"},
		{"a token, for another", acting, "bob", 403, "user:bob"},
		{"a user's token", as(t, "ada", "*=complete", "user:{sub}=*"), "bob", 403, "user:bob"},
		{"a user's token, for itself", as(t, "ada", "*=complete"), "ada", 200, "ada"},
		{"for nobody", keyOf("backend"), "", 400, "Duckwire-User"},
		{"for too long a name", keyOf("backend"), strings.Repeat("x", 256), 400, "Duckwire-User"},
		{"for the longest name", keyOf("backend"), strings.Repeat("x", 255), 200, strings.Repeat("x", 255)},
		{"for bytes that are no UTF-8", keyOf("backend"), "a\xff", 400, "Duckwire-User"},
		{"for a control character", keyOf("backend"), "a\u0085b", 400, "Duckwire-User"},
	} {
		if c.status == 200 {
			if got := s.owner(chatBody(""), c.credential, forUser(c.user)); got != c.want {
				t.Errorf("%s: the owner is %q", c.name, got)
			}
			continue
		}
		resp := s.do("POST", chatPath, chatBody(""), c.credential, forUser(c.user))
		raw, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		var answer struct{ Error struct{ Message string } }
		if json.Unmarshal(raw, &answer) != nil || resp.StatusCode != c.status ||
			!strings.Contains(answer.Error.Message, c.want) {
			t.Errorf("%s: %s %s", c.name, resp.Status, raw)
		}
	}
	r := s.request("GET", "/v1/streams", "", keyOf("backend"))
	r.Header["Duckwire-User"] = []string{"ada", "bob"}
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("two users: %s", resp.Status)
	}
}

// TestActingIsCheckedEverywhere: every path that needs a token takes the header, and refuses it from a key without the
// right, in its own format.
func TestActingIsCheckedEverywhere(t *testing.T) {
	s := startKeyed(t, scripted(hello), hub.Limits{}, nil)
	for _, p := range contract.paths {
		for method, op := range p.item.Operations() {
			if _, needed := op.Responses.Map()["401"]; needed {
				path := strings.NewReplacer(
					"{id}", "x", "{topic}", "t", "{kind}", "analysis", "{job}", "x", "{user}", "u", "{profile}", "heap",
				).Replace(p.template)
				s.expect(http.StatusForbidden, method, path, "", keyOf("plain"), forUser("ada"))
				s.expect(http.StatusBadRequest, method, path, "", keyOf("plain"), forUser(""))
			}
		}
	}
}

// TestUsersInBodies: who has act by its name starts completions for the user that OpenAI's members name. What is no
// user's id is the upstream's affair, and so are the members of everybody else's requests.
func TestUsersInBodies(t *testing.T) {
	bodies := make(chan map[string]json.RawMessage, 1)
	s := startKeyed(t, scripted(func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
		bodies <- req.Body
		return hello(ctx, req, w)
	}), hub.Limits{}, nil)
	long := strings.Repeat("x", 256)
	for _, c := range []struct{ credential, more, want string }{
		{keyOf("backend"), `"user":"ada"`, "ada"},
		{keyOf("backend"), `"safety_identifier":"ada"`, "ada"},
		{keyOf("backend"), `"user":"bob","safety_identifier":"ada"`, "ada"},
		{keyOf("backend"), `"user":"bob","safety_identifier":""`, "bob"},
		{keyOf("backend"), `"user":"bob","safety_identifier":"` + long + `"`, "bob"},
		{keyOf("backend"), `"user":"` + long + `"`, "backend"},
		{keyOf("backend"), `"user":"a\nb"`, "backend"},
		{keyOf("backend"), `"user":7,"safety_identifier":{"a":[]}`, "backend"},
		{keyOf("backend"), `"user":null`, "backend"},
		{keyOf("backend"), `"user":"backend"`, "backend"},
		{keyOf("team"), `"user":"team-1"`, "team-1"},
		{keyOf("team"), `"user":"ada"`, "team"},
		{keyOf("root"), `"user":"ada"`, "root"}, // by * alone
		{as(t, "svc", "*=complete", "user:a*=act"), `"user":"ada"`, "ada"},
		{as(t, "svc", "*=complete", "user:a*=act"), `"user":"bob"`, "svc"},
		{keyOf("plain"), `"user":"ada","safety_identifier":"bob"`, "plain"},
		{as(t, "cyd", "*=*"), `"user":"ada"`, "cyd"},
	} {
		if got := s.owner(chatBody(","+c.more), c.credential); got != c.want {
			t.Errorf("%s with %.100s: the owner is %q, want %q", c.credential, c.more, got, c.want)
		}
		sent, got := map[string]json.RawMessage{}, <-bodies
		if err := json.Unmarshal([]byte("{"+c.more+"}"), &sent); err != nil {
			t.Fatal(err)
		}
		for name, value := range sent {
			if string(got[name]) != string(value) {
				t.Errorf("the upstream gets %s: %s for %s", name, got[name], value)
			}
		}
	}
	got := s.owner(chatBody(`,"user":"ada"`), keyOf("backend"), forUser("bob"))
	if <-bodies; got != "bob" {
		t.Errorf("the header does not win: %q", got)
	}
	got = s.owner(chatBody(`,"user":"ada"`), keyOf("backend"), forUser("backend"))
	if <-bodies; got != "backend" {
		t.Errorf("a request that is said to be the key's own: %q", got)
	}
}

// TestActingIsOwning: what a key does for a user is the user's: streams, ids for idempotency, slots, and the queue. The
// key has no part in it when it does not act.
func TestActingIsOwning(t *testing.T) {
	s := startKeyed(t, scripted(endlessly), hub.Limits{}, nil)
	key, ada := keyOf("backend"), as(t, "ada")
	start := func(more, user string) (*http.Response, string) {
		t.Helper()
		resp := s.expect(202, "POST", chatPath, chatBody(`,"duckwire":{`+more+`}`), key, forUser(user),
			"Prefer: respond-async")
		return resp, resp.Header.Get("Duckwire-Stream")
	}
	_, first := start(`"id":"mine","slot":"s"`, "ada")
	_, again := start(`"id":"mine","slot":"s"`, "ada")
	_, bobs := start(`"id":"mine","slot":"s"`, "bob")
	if first != again || first == bobs {
		t.Errorf("ada's %s, again %s, bob's %s", first, again, bobs)
	}
	for _, path := range []string{first, "mine"} { // ada's own token needs no right to read it
		if got := call[streamJSON](s, 200, "GET", "/v1/streams/"+path, "", ada); got.ID != first || got.Owner != "ada" {
			t.Errorf("%+v", got)
		}
		call[streamJSON](s, 200, "GET", "/v1/streams/"+path, "", key, forUser("ada"))
		call[problem](s, 404, "GET", "/v1/streams/"+path, "", key) // which has no right to read
	}
	call[problem](s, 404, "GET", "/v1/streams/"+first, "", key, forUser("bob"))
	call[streamJSON](s, 200, "GET", "/v1/streams/"+first, "", keyOf("plain")) // which may subscribe
	_, newer := start(`"id":"newer","slot":"s"`, "ada")
	hubtest.Until(t, "the older one in ada's slot to end", func() bool {
		return call[streamJSON](s, 200, "GET", "/v1/streams/"+first, "", ada).Status == "superseded"
	})
	if got := call[streamJSON](s, 200, "GET", "/v1/streams/"+bobs, "", as(t, "bob")); got.Status != "running" &&
		got.Status != "queued" {
		t.Errorf("bob's, in a slot of the same name: %+v", got)
	}
	s.expect(404, "DELETE", "/v1/streams/"+newer, "", key, forUser("bob"))
	s.expect(200, "DELETE", "/v1/streams/"+newer, "", key, forUser("ada"))

	s.leave("ada", 1)
	if page := call[queueJSON](s, 200, "GET", messagesPath, "", key, forUser("ada")); len(page.Messages) == 0 {
		t.Error("the key that acts for ada does not see ada's queue")
	}
	call[problem](s, 403, "GET", "/v1/users/ada/messages", "", key)
	out := call[historyJSON](s, 403, "GET", eventsPath, "", key, forUser("ada")) // the key may not subscribe
	if len(out.Events) > 0 {
		t.Errorf("%+v", out)
	}
	s.expect(200, "POST", eventsPath, `{"event":"e"}`, key, forUser("ada"))
	if h := call[historyJSON](s, 200, "GET", eventsPath, ""); len(h.Events) != 1 || h.Events[0].Sender != "ada" {
		t.Errorf("an event that was published for ada: %+v", h)
	}
}

// TestActingGivesNoRights: whoever acts has the rights of the credential, and no more. A {sub} in them is the key's
// name, also while it acts.
func TestActingGivesNoRights(t *testing.T) {
	s := startKeyed(t, scripted(hello), hub.Limits{}, nil)
	s.expect(201, "POST", "/v1/streams", `{"id":"on-topic","topic":"t:1"}`)
	requests := []struct{ method, path, body string }{
		{"POST", "/v1/streams", `{"topic":"user:ada"}`},
		{"POST", chatPath, chatBody(`,"duckwire":{"topic":"user:ada"}`)},
		{"POST", "/v1/topics/user:ada/events", `{"event":"e"}`},
		{"GET", "/v1/topics/user:ada/events", ""},
		{"GET", "/v1/topics/user:ada/presence", ""},
		{"POST", messagesPath, `{"event":"e"}`},
		{"POST", "/v1/users/me/disconnect", ""},
		{"POST", "/v1/revocations", `{"user":"ada"}`},
		{"GET", "/v1/users/bob/messages", ""},
		{"GET", "/v1/overview", ""},
		{"DELETE", "/v1/streams/on-topic", ""},
		{"GET", "/v1/streams/on-topic", ""},
	}
	for _, r := range requests {
		resp := s.do(r.method, r.path, r.body, keyOf("actor"), forUser("ada"))
		resp.Body.Close()
		if resp.StatusCode != 403 && (resp.StatusCode != 404 || !strings.HasSuffix(r.path, "on-topic")) {
			t.Errorf("%s %s: %s", r.method, r.path, resp.Status)
		}
	}
	s.expect(201, "POST", "/v1/streams", `{"topic":"user:actor"}`, keyOf("actor"), forUser("ada")) // as for itself
}

// TestEndOfActing: what a key does for a user ends with a disconnect of the user or of the key, and with a revocation
// of the user's tokens; what begins later is the application's decision. What a token does for others ends with it.
func TestEndOfActing(t *testing.T) {
	for _, c := range []struct{ name, path, body, end string }{
		{"disconnect of the user", "/v1/users/ada/disconnect", "", "disconnected"},
		{"disconnect of the key", "/v1/users/backend/disconnect", "", "disconnected"},
		{"revocation of the user", "/v1/revocations", `{"user":"ada"}`, "unauthorized"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startKeyed(t, nil, hub.Limits{}, nil)
			key := keyOf("backend")
			adas, bobs := s.stream("GET", messagesPath, "", key, forUser("ada")), keyOf("root")
			adas.want("hello")
			socket := s.dialAs(keyOf("backend"), "ada")
			socket.send(`[null,"1","phoenix","heartbeat",{}]`)
			socket.next() // then it is registered
			other := s.stream("GET", messagesPath, "", bobs, forUser("bob"))
			other.want("hello")
			s.do("POST", c.path, c.body).Body.Close()
			if bye := adas.want("bye"); !strings.Contains(bye.data, c.end) {
				t.Errorf("%+v", bye)
			}
			if got := ended(t, socket); got != "1001" && got != "4003" {
				t.Errorf("the socket: %s", got)
			}
			again := s.stream("GET", messagesPath, "", key, forUser("ada"))
			again.want("hello")
			s.leave("ada", 1)
			again.want("")
			s.leave("bob", 1)
			other.want("")
		})
	}
	t.Run("revocation of a token's user", func(t *testing.T) {
		s := startKeyed(t, nil, hub.Limits{}, nil)
		svc := bearer(issued(t, "svc", "1", -time.Hour))
		sub := s.stream("GET", messagesPath, "", svc, forUser("ada"))
		sub.want("hello")
		s.expect(201, "POST", "/v1/revocations", `{"user":"svc"}`)
		if bye := sub.want("bye"); !strings.Contains(bye.data, "unauthorized") {
			t.Errorf("%+v", bye)
		}
		call[problem](s, 401, "GET", "/v1/streams", "", svc, forUser("ada"))
	})
}

// dialAs opens a socket with a credential (a header), for a user.
func (s *testServer) dialAs(credential, user string) *wsClient {
	s.t.Helper()
	c := &wsClient{t: s.t, ctx: s.t.Context()}
	name, value, _ := strings.Cut(credential, ": ")
	h := http.Header{name: {value}, "Duckwire-User": {user}}
	var err error
	c.conn, _, err = websocket.Dial(c.ctx, s.URL+"/socket/websocket?vsn=2.0.0",
		&websocket.DialOptions{HTTPClient: s.plain, HTTPHeader: h})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.conn.CloseNow() })
	return c
}

// TestActingOnSockets: a socket that a key opens for a user is the user's, also after its token was renewed.
func TestActingOnSockets(t *testing.T) {
	s := startKeyed(t, nil, hub.Limits{}, nil)
	if status, _ := s.shake("?vsn=2.0.0", keyOf("plain"), forUser("ada")); status != 403 {
		t.Errorf("a key that may not act: %d", status)
	}
	_, own, _ := strings.Cut(keyOf("backend"), "Bearer ")
	_, another, _ := strings.Cut(keyOf("root"), "Bearer ")
	c := s.dialAs(keyOf("backend"), "ada")
	say := func(topic, event, payload, status string) {
		t.Helper()
		c.send(`["1","1",%q,%q,%s]`, topic, event, payload)
		for {
			if reply := c.next(); strings.Contains(reply, `"phx_reply"`) {
				if !strings.Contains(reply, `"status":"`+status+`"`) {
					t.Errorf("%s on %s: %s", event, topic, reply)
				}
				return
			}
		}
	}
	say("lobby", "phx_join", `{}`, "error") // the key may not subscribe
	say("phoenix", "access_token", fmt.Sprintf(`{"token":%q}`, own), "ok")
	say("phoenix", "access_token", fmt.Sprintf(`{"token":%q}`, another), "error")
	s.expect(200, "POST", "/v1/users/ada/disconnect", "")
	want(t, ended(t, c), "1001")

	acting, other := token(t, "svc", "user:ada=act", "*=subscribe"), token(t, "svc", "*=subscribe")
	c = s.dialAs(bearer(acting), "ada")
	say("user:ada", "phx_join", `{"after":"now"}`, "ok")
	say("phoenix", "access_token", fmt.Sprintf(`{"token":%q}`, other), "error") // which may not act
	newer := tokenFor(t, "svc", time.Minute, "user:a*=act", "*=*")
	say("phoenix", "access_token", fmt.Sprintf(`{"token":%q}`, newer), "ok")
	s.leave("ada", 1)
	if got := c.next(); !strings.Contains(got, `"payload":1`) {
		t.Errorf("ada's message: %s", got)
	}
}

// TestActingIsLogged: the access log names the user and who acts for it.
func TestActingIsLogged(t *testing.T) {
	log := &logBuffer{}
	s := startKeyed(t, scripted(hello), hub.Limits{}, func(o *handlers.Options) {
		o.Logger = slog.New(slog.NewJSONHandler(log, nil))
	})
	s.expect(200, "GET", "/v1/streams", "", keyOf("backend"), forUser("ada"))
	s.expect(200, "POST", chatPath, chatBody(`,"user":"bob"`), keyOf("backend"))
	s.expect(403, "GET", "/v1/streams", "", keyOf("plain"), forUser("cyd"))
	for _, want := range []string{
		`"user":"ada","actor":"backend"`, `"user":"bob","actor":"backend"`, `"user":"plain"}`,
	} {
		hubtest.Until(t, want, func() bool { return strings.Contains(log.String(), want) })
	}
}
