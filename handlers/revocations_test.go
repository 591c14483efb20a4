package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/storage/memory"
)

// issued signs a token that allows everything, with an id. Its iat differs from now by from.
func issued(t testing.TB, user, id string, from time.Duration) string {
	t.Helper()
	claims := jwt.MapClaims{
		"sub": user, "jti": id, "caps": map[string][]string{"*": {"*"}},
		"iat": time.Now().Add(from).Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func bearer(tok string) string { return "Authorization: Bearer " + tok }

// opened is an open connection, and its expected end after a revocation, and after a disconnect.
type opened struct {
	name                  string
	end                   func() string
	revoked, disconnected string
}

// openAll opens one connection of each kind.
func (s *testServer) openAll(tok string) []opened {
	s.t.Helper()
	var all []opened
	for name, open := range openSockets {
		c := open(s, tok)
		c.send(`[null,"1","phoenix","heartbeat",{}]`)
		want(s.t, c.next(), `[null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]`)
		o := opened{name, func() string { return ended(s.t, c) }, "4003", "1001"}
		switch name {
		case "long-poll":
			o.revoked, o.disconnected = "status 500", "status 500"
		case "SSE":
			o.revoked, o.disconnected = `bye {"reason":"unauthorized"}`, `bye {"reason":"session"}`
		}
		all = append(all, o)
	}
	sub := s.stream("GET", eventsPath, "", bearer(tok))
	sub.want("hello")
	all = append(all, opened{
		name: "a topic's events", end: func() string { return sub.want("bye").data },
		revoked: `{"reason":"unauthorized"}`, disconnected: `{"reason":"disconnected"}`,
	})
	id := call[streamJSON](s, 201, "POST", "/v1/streams", `{}`, bearer(tok)).ID
	lines := s.live("/v1/streams/"+id, tok, "application/x-ndjson")
	all = append(all, opened{
		name: "a stream's lines", end: lastLine(s.t, lines),
		revoked:      `{"event":"bye","reason":"unauthorized","retry":0}`,
		disconnected: `{"event":"bye","reason":"disconnected","retry":`,
	})
	text := s.live("/v1/streams/"+id, tok, "text/plain")
	all = append(all, opened{"a stream's text", func() string {
		defer text.Body.Close()
		_, err := io.ReadAll(text.Body)
		return fmt.Sprint(errors.Is(err, io.ErrUnexpectedEOF))
	}, "true", "true"})
	return append(all, s.waitFor(tok), s.upload(tok))
}

// live sends a GET whose body is not checked, because the tests' client would wait for its end.
func (s *testServer) live(path, tok, accept string) *http.Response {
	s.t.Helper()
	resp, err := s.Client().Transport.(checked).next.RoundTrip(s.request("GET", path, "", bearer(tok), "Accept: "+accept))
	if err != nil || resp.StatusCode >= 300 {
		s.t.Fatal(resp, err)
	}
	return resp
}

func lastLine(t testing.TB, resp *http.Response) func() string {
	return func() string {
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
		return lines[len(lines)-1]
	}
}

// waitFor requests messages, and waits for some that never arrive.
func (s *testServer) waitFor(tok string) opened {
	s.t.Helper()
	done := make(chan string, 1)
	r := s.request("GET", messagesPath+"?wait=60", "", bearer(tok))
	go func() {
		resp, err := s.Client().Do(r)
		if err != nil {
			done <- err.Error()
			return
		}
		resp.Body.Close()
		done <- fmt.Sprint(resp.StatusCode)
	}()
	hubtest.Until(s.t, "the wait's beginning", func() bool { return s.hub.Stats().Sessions[hub.ViaWait] > 0 })
	return opened{"a wait for messages", func() string { return <-done }, "200", "200"}
}

// upload uploads a stream that does not end.
func (s *testServer) upload(tok string) opened {
	id := call[streamJSON](s, 201, "POST", "/v1/streams", `{}`, bearer(tok)).ID
	body, feed := io.Pipe()
	r := s.request("POST", "/v1/streams/"+id+"/append", "", bearer(tok), "Content-Type: text/plain")
	r.Body = body
	done := make(chan string, 1)
	go func() {
		resp, err := s.Client().Do(r)
		if err != nil {
			done <- err.Error()
			return
		}
		resp.Body.Close()
		done <- fmt.Sprint(resp.StatusCode)
	}()
	if _, err := feed.Write([]byte("text")); err != nil {
		s.t.Fatal(err)
	}
	hubtest.Until(s.t, "the beginning of an upload", func() bool {
		return call[streamJSON](s, 200, "GET", "/v1/streams/"+id, "", bearer(tok)).Text == "text"
	})
	return opened{"an upload", func() string { defer feed.Close(); return <-done }, "401", "503"}
}

// revocationJSON is the part of a revocation that the tests read.
type revocationJSON struct {
	User, JTI    string
	Issued       time.Time `json:"issued_until"`
	Until        time.Time
	Disconnected int
}

type revocationsJSON struct {
	Revocations []revocationJSON
	More        bool
}

func TestRevokeAUser(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	old, bob := issued(t, "ada", "1", -time.Hour), s.dialSocket(issued(t, "bob", "2", -time.Hour))
	before := time.Now()
	all := s.openAll(old)
	got := call[revocationJSON](s, 201, "POST", "/v1/revocations", `{"user":"ada"}`, as(t, "admin", "user:ada=admin"))
	if n := got.Disconnected; n != len(all) && n != len(all)-1 || got.User != "ada" || got.Issued.Before(before) ||
		got.Until.Sub(got.Issued) != 30*24*time.Hour {
		t.Errorf("%+v", got)
	}
	for _, o := range all {
		if got := o.end(); got != o.revoked {
			t.Errorf("%s: %s, want %s", o.name, got, o.revoked)
		}
	}
	s.refused(old)
	// one token that is issued later, and one of somebody else
	for _, tok := range []string{issued(t, "ada", "3", 2*time.Second), issued(t, "bob", "1", -time.Hour)} {
		call[any](s, 200, "GET", "/v1/models", "", bearer(tok))
		s.dialSocket(tok)
	}
	call[problem](s, 401, "GET", "/v1/models", "", as(t, "ada", "*=*")) // a token without iat
	bob.send(`[null,"1","phoenix","heartbeat",{}]`)
	bob.want(`[null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]`)
}

// refused expects that a token is rejected on all paths.
func (s *testServer) refused(tok string) {
	s.t.Helper()
	if p := call[problem](s, 401, "GET", "/v1/streams", "", bearer(tok)); p.Detail != "token was revoked" {
		s.t.Errorf("%+v", p)
	}
	if status, _ := s.shake("?vsn=2.0.0&token=" + tok); status != 403 {
		s.t.Errorf("a WebSocket: %d", status)
	}
	if a := s.poll("GET", "token="+tok, ""); a.Status != 403 {
		s.t.Errorf("a long-poll: %+v", a)
	}
}

func TestRevokeAToken(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	one, other := s.dialSocket(issued(t, "ada", "t/1", 0)), s.dialSocket(issued(t, "ada", "t/2", 0))
	one.send(`[null,"1","phoenix","heartbeat",{}]`)
	one.next() // then the socket is registered, which happens shortly after the handshake
	body := fmt.Sprintf(`{"jti":"t/1","until":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339))
	got := call[revocationJSON](s, 201, "POST", "/v1/revocations", body, as(t, "admin", "*=admin"))
	if got.Disconnected != 1 || !got.Issued.IsZero() || got.JTI != "t/1" || time.Until(got.Until) > time.Hour {
		t.Errorf("%+v", got)
	}
	want(t, ended(t, one), "4003")
	s.refused(issued(t, "ada", "t/1", time.Second))
	other.send(`[null,"1","phoenix","access_token",{"token":%q}]`, issued(t, "ada", "t/1", 0))
	wantPrefix(t, other.next(), `[null,"1","phoenix","phx_reply",{"status":"error","response":{"reason":"unauthorized"`)
	for path, n := range map[string]int{"": 1, "?jti=t/1": 1, "?jti=t/2": 0, "?user=ada": 0} {
		page := call[revocationsJSON](s, 200, "GET", "/v1/revocations"+path, "", as(t, "admin", "*=admin"))
		if len(page.Revocations) != n || page.More {
			t.Errorf("%s: %+v", path, page)
		}
	}
	call[problem](s, 403, "DELETE", "/v1/revocations?jti=t/1", "", as(t, "ada", "user:*=admin"))
	call[any](s, 204, "DELETE", "/v1/revocations?jti=t/1", "", as(t, "admin", "*=admin"))
	call[problem](s, 404, "DELETE", "/v1/revocations?jti=t/1", "", as(t, "admin", "*=admin"))
	call[any](s, 200, "GET", "/v1/models", "", bearer(issued(t, "ada", "t/1", 0)))
}

func TestRevocationsRefuseBadInput(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	for body, field := range map[string]string{
		`{}`:                     "user",
		`{"user":"a","jti":"b"}`: "user",
		`{"user":"a","until":"2001-01-01T00:00:00Z"}`: "until",
		`{"user":"a","until":"9999-01-01T00:00:00Z"}`: "until",
		`{"user":"` + strings.Repeat("x", 256) + `"}`: "user",
		`{"user":1}`:                      "user",
		`{"user":"a","until":"tomorrow"}`: "until",
	} {
		if p := call[problem](s, 400, "POST", "/v1/revocations", body); p.Field != field {
			t.Errorf("%.60s: %+v", body, p)
		}
	}
	call[problem](s, 400, "GET", "/v1/revocations?limit=0", "")
	call[problem](s, 400, "DELETE", "/v1/revocations", "")
	call[problem](s, 400, "POST", "/v1/users/a%00b/disconnect", "")
}

// noDisk is a store that cannot store.
type noDisk struct{ memory.Revocations }

func (*noDisk) SaveRevocation(rights.Revocation) error { return errs.ErrUnavailable }
func (*noDisk) DeleteRevocation(string, string) error  { return errs.ErrUnavailable }

// TestRevocationsAtTheirLimits: a revocation that cannot be stored applies nevertheless. The number of revocations is
// limited.
func TestRevocationsAtTheirLimits(t *testing.T) {
	revocations, err := rights.NewRevocations(rights.RevocationOptions{Store: &noDisk{}, Max: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := revocations.Close(); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("%v: closed, and nobody is told what is lost", err)
		}
	})
	v, err := auth.NewVerifier(context.Background(), auth.VerifierOptions{
		Secret: []byte(testSecret), Revocations: revocations, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	s := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.Verifier = v })
	c := s.dialSocket(token(t, "ada", "*=*"))
	call[problem](s, 503, "POST", "/v1/revocations", `{"user":"ada"}`)
	want(t, ended(t, c), "4003")
	s.refused(token(t, "ada", "*=*"))
	call[problem](s, 503, "DELETE", "/v1/revocations?user=ada", "")
	call[problem](s, 429, "POST", "/v1/revocations", `{"user":"bob"}`)
}

func TestDisconnectAUser(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	tok := issued(t, "ada", "1", 0)
	all, bob := s.openAll(tok), s.dialSocket(token(t, "bob", "*=*"))
	admin := as(t, "admin", "user:ada=admin")
	got := call[struct{ Disconnected int }](s, 200, "POST", "/v1/users/ada/disconnect", "", admin)
	if n := got.Disconnected; n != len(all) && n != len(all)-1 {
		t.Errorf("%d of %d", n, len(all))
	}
	for _, o := range all {
		if got := o.end(); !strings.HasPrefix(got, o.disconnected) {
			t.Errorf("%s: %s, want %s", o.name, got, o.disconnected)
		}
	}
	s.dialSocket(tok) // clients may reconnect
	sub := s.stream("GET", eventsPath, "", bearer(tok))
	sub.want("hello")
	bob.send(`[null,"1","phoenix","heartbeat",{}]`)
	bob.want(`[null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]`)
}

// slowAuthorizer delays its answers about one topic.
type slowAuthorizer struct{ asked, answer chan struct{} }

func (a slowAuthorizer) Authorize(ctx context.Context, id *rights.Identity, topic string, action rights.Action) error {
	if topic == "slow" {
		a.asked <- struct{}{}
		<-a.answer
	}
	return rights.CapsAuthorizer{}.Authorize(ctx, id, topic, action)
}

// TestDisconnectDuringARequest: a request that was authorized before the disconnect, and begins its response after it,
// is also ended.
func TestDisconnectDuringARequest(t *testing.T) {
	slow := slowAuthorizer{make(chan struct{}), make(chan struct{})}
	s := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.Authorizer = slow })
	for _, end := range []struct{ method, path, body, reason string }{
		{"POST", "/v1/users/ada/disconnect", "", `{"reason":"disconnected"}`},
		{"POST", "/v1/revocations", `{"user":"ada"}`, `{"reason":"unauthorized"}`},
	} {
		got := make(chan string, 1)
		r := s.request("GET", "/v1/topics/slow/events", "", bearer(issued(t, "ada", "1", 0)), "Accept: text/event-stream")
		go func() {
			resp, err := s.Client().Do(r)
			if err != nil {
				got <- err.Error()
				return
			}
			defer resp.Body.Close()
			raw, _ := io.ReadAll(resp.Body)
			got <- string(raw)
		}()
		<-slow.asked
		if resp := s.do(end.method, end.path, end.body); resp.StatusCode >= 300 {
			t.Fatal(resp.Status)
		}
		slow.answer <- struct{}{}
		if body := <-got; !strings.Contains(body, "event: bye\ndata: "+end.reason) {
			t.Errorf("%s: %s", end.path, body)
		}
	}
}

// TestRevokedWhileItIsMade: a whole completion is not sent to a client whose token was revoked meanwhile.
func TestRevokedWhileItIsMade(t *testing.T) {
	for path, one := range map[string]struct {
		body       string
		told, want int
	}{
		"/v1/revocations":          {`{"user":"ada"}`, http.StatusCreated, http.StatusUnauthorized},
		"/v1/users/ada/disconnect": {"", http.StatusOK, http.StatusServiceUnavailable},
	} {
		asked, made := make(chan struct{}), make(chan struct{})
		s := startServer(t, scripted(func(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
			close(asked)
			<-made
			w.Finish(hub.Finish{Reason: "stop"})
			return w.Text("secret")
		}), hub.Limits{}, nil)
		done := make(chan int, 1)
		r := s.request("POST", "/v1/completions", `{"prompt":"x"}`, bearer(issued(t, "ada", "1", -time.Hour)))
		go func() {
			resp, err := s.Client().Do(r)
			if err != nil {
				done <- 0
				return
			}
			resp.Body.Close()
			done <- resp.StatusCode
		}()
		<-asked
		call[struct{}](s, one.told, "POST", path, one.body, as(t, "admin", "user:ada=admin"))
		if got := <-done; got != one.want {
			t.Errorf("%s: %d, want %d", path, got, one.want)
		}
		close(made)
	}
}
