package handlers_test

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/middleware/auth"
)

// socketPeer is a client of a socket, on any transport.
type socketPeer interface {
	send(frame string, args ...any)
	next() string
}

// openSockets opens a socket on each transport.
var openSockets = map[string]func(s *testServer, tok string) socketPeer{
	"WebSocket": func(s *testServer, tok string) socketPeer { return s.dialSocket(tok) },
	"long-poll": func(s *testServer, tok string) socketPeer {
		open := s.poll("GET", "token="+tok, "")
		return &poller{s: s, app: "token=" + tok, token: open.Token}
	},
	"SSE": func(s *testServer, tok string) socketPeer { return s.openSSESocket(tok) },
}

// poller is a client of a long-poll.
type poller struct {
	s          *testServer
	app, token string
	waiting    []string
}

func (p *poller) send(frame string, args ...any) {
	p.s.t.Helper()
	if a := p.s.poll("POST", p.app+"&token="+url.QueryEscape(p.token), fmt.Sprintf(frame, args...)); a.Status != 200 {
		p.s.t.Fatalf("a POST was answered with %d", a.Status)
	}
}

func (p *poller) next() string {
	p.s.t.Helper()
	for len(p.waiting) == 0 {
		a := p.s.poll("GET", p.app+"&token="+url.QueryEscape(p.token), "")
		if a.Status != 200 && a.Status != 204 {
			return fmt.Sprintf("status %d", a.Status)
		}
		p.token, p.waiting = a.Token, a.Messages
	}
	frame := p.waiting[0]
	p.waiting = p.waiting[1:]
	return frame
}

// ssePeer is a client of an SSE socket.
type ssePeer struct {
	s       *testServer
	bearer  string
	session string
	body    io.Closer
	lines   *bufio.Scanner
}

func (s *testServer) openSSESocket(tok string) *ssePeer {
	s.t.Helper()
	c := &ssePeer{s: s, bearer: "Authorization: Bearer " + tok}
	c.follow("")
	return c
}

// follow opens a response with additional parameters.
func (c *ssePeer) follow(more string) {
	c.s.t.Helper()
	resp := c.s.do("GET", "/socket/sse?vsn=2.0.0"+more, "", c.bearer)
	if resp.StatusCode != http.StatusOK {
		c.s.t.Fatal(resp.Status)
	}
	c.s.t.Cleanup(func() { resp.Body.Close() })
	c.body, c.lines = resp.Body, bufio.NewScanner(resp.Body)
	hello := c.next()
	_, rest, _ := strings.Cut(hello, `{"session":"`)
	c.session, _, _ = strings.Cut(rest, `"`)
}

func (c *ssePeer) send(frame string, args ...any) {
	c.s.t.Helper()
	resp := c.s.do(
		"POST", "/socket/sse?session="+url.QueryEscape(c.session), fmt.Sprintf(frame, args...), c.bearer,
		"Content-Type: application/x-ndjson",
	)
	resp.Body.Close()
}

// next returns the data of the next block, with the block's name if it is a bye.
func (c *ssePeer) next() string {
	c.s.t.Helper()
	event := ""
	for c.lines.Scan() {
		line := c.lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name + " "
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if event != "bye " {
				event = ""
			}
			return event + data
		}
	}
	return "the end"
}

// ended returns how a transport reports the end of a socket whose token has expired or was revoked.
func ended(t testing.TB, c socketPeer) string {
	ws, ok := c.(*wsClient)
	if !ok {
		return c.next()
	}
	_, data, err := ws.conn.Read(ws.ctx)
	if err == nil {
		return string(data)
	}
	return fmt.Sprint(int(websocket.CloseStatus(err)))
}

func TestTokenRefreshedOnEachTransport(t *testing.T) {
	for name, open := range openSockets {
		t.Run(name, func(t *testing.T) {
			hubtest.OwnClock(t, func(t *testing.T) {
				s := startServer(t, nil, hub.Limits{}, nil)
				first := tokenFor(t, "ada", 7*time.Second, "*=*")
				c, control := open(s, first), s.dialSocket(first)
				for i, topic := range []string{"kept", "lost"} {
					c.send(`["%d","%d",%q,"phx_join",{}]`, i, i, topic)
					want(t, c.next(), fmt.Sprintf(`["%d","%d",%q,"phx_reply",{"status":"ok","response":{}}]`, i, i, topic))
				}
				wantPrefix(t, c.next(), `[null,null,"phoenix","token_expiring",{"expires_in":`)
				good := token(t, "ada", "kept=*")
				for tok, reason := range map[string]string{
					good[:len(good)-8] + "AAAAAAAA": "unauthorized", token(t, "bob", "*=*"): "forbidden",
					tokenFor(t, "ada", -time.Second, "*=*"): "unauthorized",
				} {
					c.send(`[null,"8","phoenix","access_token",{"token":%q}]`, tok)
					wantPrefix(
						t, c.next(), fmt.Sprintf(`[null,"8","phoenix","phx_reply",{"status":"error","response":{"reason":%q`, reason),
					)
				}
				c.send(`["0","9","kept","access_token",{"access_token":%q}]`, good)
				wantPrefix(t, c.next(), `["0","9","kept","phx_reply",{"status":"ok","response":{"expires_in":3600}`)
				want(t, c.next(), `["1","1","lost","phx_close",{"reason":"forbidden"}]`)
				for got := ended(t, control); got != "4001"; got = ended(t, control) { // the first token has expired
					wantPrefix(t, got, `[null,null,"phoenix","token_expiring"`)
				}
				c.send(`["0","10","kept","say",{"_duckwire":{"ephemeral":true}}]`)
				got := c.next() + c.next()
				if !strings.Contains(got, `"say"`) || !strings.Contains(got, `"status":"ok"`) {
					t.Fatal(got)
				}
			})
		})
	}
}

func TestTokenEndsEachTransport(t *testing.T) {
	ends := map[string]string{"WebSocket": "4001", "long-poll": "status 500", "SSE": `bye {"reason":"unauthorized"}`}
	for name, open := range openSockets {
		t.Run(name, func(t *testing.T) {
			hubtest.OwnClock(t, func(t *testing.T) {
				s := startServer(t, nil, hub.Limits{}, nil)
				c := open(s, tokenFor(t, "ada", 6*time.Second, "*=*"))
				wantPrefix(t, c.next(), `[null,null,"phoenix","token_expiring",{"expires_in":`)
				want(t, ended(t, c), ends[name])
			})
		})
	}
}

// TestTokenRefreshedThenReconnected: after a refresh, a client of an SSE socket may reconnect, because the session's
// token counts, not the request's.
func TestTokenRefreshedThenReconnected(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startServer(t, nil, hub.Limits{}, nil)
		first := tokenFor(t, "ada", 6*time.Second, "*=*")
		c, control := s.openSSESocket(first), s.dialSocket(first)
		c.send(`[null,"1","phoenix","access_token",{"token":%q}]`, token(t, "ada", "*=*"))
		for got := c.next(); !strings.HasPrefix(got, `[null,"1","phoenix","phx_reply",{"status":"ok"`); got = c.next() {
			wantPrefix(t, got, `[null,null,"phoenix","token_expiring"`)
		}
		c.body.Close()
		for got := ended(t, control); got != "4001"; got = ended(t, control) {
			wantPrefix(t, got, `[null,null,"phoenix","token_expiring"`)
		}
		c.follow("&session=" + url.QueryEscape(c.session) + "&after=1")
		c.send(`[null,"2","phoenix","heartbeat",{}]`)
		for got := c.next(); got != `[null,"2","phoenix","phx_reply",{"status":"ok","response":{}}]`; got = c.next() {
			wantPrefix(t, got, `[null,`)
		}
	})
}

func want(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func wantPrefix(t testing.TB, got, prefix string) {
	t.Helper()
	if !strings.HasPrefix(got, prefix) {
		t.Fatalf("got  %s\nwant %s…", got, prefix)
	}
}

func TestUploadEndsWithItsToken(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startServer(t, nil, hub.Limits{}, nil)
		want(t, s.upload(tokenFor(t, "ada", 5*time.Second, "*=*")).end(), "401")
	})
}

// keyring is an issuer whose key set changes.
type keyring struct {
	*httptest.Server
	mu      sync.Mutex
	keys    map[string]ed25519.PrivateKey
	fetches int
}

func newKeyring(t *testing.T) *keyring {
	k := &keyring{}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.fetches++
		var list []map[string]string
		for kid, key := range k.keys {
			x := base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
			list = append(list, map[string]string{"kid": kid, "use": "sig", "kty": "OKP", "crv": "Ed25519", "x": x})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": list})
	}))
	t.Cleanup(k.Close)
	return k
}

// rotate replaces the keys by one new key.
func (k *keyring) rotate(kid string) ed25519.PrivateKey {
	_, key, _ := ed25519.GenerateKey(nil) // never fails (crypto/rand)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = map[string]ed25519.PrivateKey{kid: key}
	return key
}

func signedBy(t *testing.T, key ed25519.PrivateKey, kid string) string {
	t.Helper()
	token := jwt.NewWithClaims(
		jwt.SigningMethodEdDSA,
		jwt.MapClaims{"sub": "ada", "exp": time.Now().Add(time.Hour).Unix(), "caps": map[string][]string{"*": {"*"}}},
	)
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestKeysRotateUnderLiveConnections: when the issuer's keys change, open connections stay open. Tokens with the new
// key are accepted at once, for new connections and refreshes; those with the old key are not. Invented key ids on an
// open socket cause only a few fetches of the key set.
func TestKeysRotateUnderLiveConnections(t *testing.T) {
	ring := newKeyring(t)
	old := ring.rotate("a")
	v, err := auth.NewVerifier(
		t.Context(),
		auth.VerifierOptions{JWKSURL: ring.URL, HTTPClient: ring.Client(), Logger: slog.New(slog.DiscardHandler)},
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	s := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.Verifier = v })
	first := signedBy(t, old, "a")
	open := map[string]socketPeer{}
	for name, opener := range openSockets {
		open[name] = opener(s, first)
	}
	sub := s.stream("GET", eventsPath, "", bearer(first))
	sub.want("hello")

	fresh := ring.rotate("b")
	second := signedBy(t, fresh, "b")
	for name, c := range open {
		c.send(`[null,"1","phoenix","access_token",{"token":%q}]`, second)
		if got := c.next(); !strings.HasPrefix(got, `[null,"1","phoenix","phx_reply",{"status":"ok"`) {
			t.Errorf("%s: %s", name, got)
		}
	}
	call[problem](s, 401, "GET", "/v1/streams", "", bearer(first))
	call[any](s, 200, "GET", "/v1/streams", "", bearer(second))
	call[any](s, 200, "POST", eventsPath, `{"event":"e"}`, bearer(second))
	sub.want("e") // opened with the old key, and not renewed: its token was good

	ws := open["WebSocket"]
	for n := range 100 {
		ws.send(`[null,"%d","phoenix","access_token",{"token":%q}]`, n, signedBy(t, old, fmt.Sprint("forged-", n)))
		wantPrefix(
			t, ws.next(),
			fmt.Sprintf(`[null,"%d","phoenix","phx_reply",{"status":"error","response":{"reason":"unauthorized"`, n),
		)
	}
	ring.mu.Lock()
	defer ring.mu.Unlock()
	if ring.fetches > 3 { // the first, and two in a row
		t.Errorf("the key set was fetched %d times", ring.fetches)
	}
}
