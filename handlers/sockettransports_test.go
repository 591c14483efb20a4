package handlers_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// shake makes a WebSocket handshake, and returns the response's status and subprotocol.
func (s *testServer) shake(query string, headers ...string) (status int, protocol string) {
	s.t.Helper()
	h := []string{
		"Authorization: ", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==",
	}
	resp := s.do("GET", "/socket/websocket"+query, "", append(h, headers...)...)
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Sec-WebSocket-Protocol")
}

func TestSocketHandshake(t *testing.T) {
	s := startServer(
		t, nil, hub.Limits{}, func(o *handlers.Options) { o.AllowedOrigins = []string{"https://app.example"} },
	)
	tok := token(t, "u", "*=*")
	std := strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(tok)), "=")
	as := func(coded string) string { return "Sec-WebSocket-Protocol: phoenix, base64url.bearer.phx." + coded }
	for _, c := range []struct {
		query    string
		headers  []string
		status   int
		protocol string
	}{
		{"?vsn=2.0.0&token=" + tok, nil, 101, ""},
		{"?token=" + tok, nil, 101, ""},
		{"?vsn=1.0.3&token=" + tok, nil, 101, ""},
		{"?vsn=2.0.1-rc.1&token=" + tok, nil, 101, ""},
		{"?vsn=2.0.0%2Bbuild&token=" + tok, nil, 101, ""},
		{"/?vsn=2.0.0&token=" + tok, nil, 101, ""},
		{"?&vsn=2.0.0&&token=" + tok + "&", nil, 101, ""},
		{"?vsn=9&vsn=2.0.0&token=" + tok, nil, 101, ""},
		{"?vsn=2.0.0&vsn=9&token=" + tok, nil, 403, ""},
		{"?token=nonsense&vsn=2.0.0&token=" + tok, nil, 101, ""}, // the last of two
		{"?vsn=2.0&token=" + tok, nil, 403, ""},
		{"?vsn=&token=" + tok, nil, 403, ""},
		{"?vsn=2.0.0-dev&token=" + tok, nil, 403, ""},
		{"?vsn=3.0.0&token=" + tok, nil, 403, ""},
		{"?vsn[]=2.0.0&token=" + tok, nil, 403, ""},
		{"?vsn=2.0.0", nil, 403, ""},
		{"?vsn=2.0.0&token=nonsense", nil, 403, ""},
		{"?vsn=2.0.0", []string{"Authorization: Bearer " + tok}, 101, ""},
		{"?vsn=2.0.0", []string{as(std)}, 101, "phoenix"},
		{"?vsn=2.0.0", []string{as(base64.RawURLEncoding.EncodeToString([]byte(tok)))}, 101, "phoenix"},
		{"?vsn=2.0.0", []string{as(base64.StdEncoding.EncodeToString([]byte(tok)))}, 101, "phoenix"},
		{"?vsn=2.0.0", []string{"Sec-WebSocket-Protocol: base64url.bearer.phx." + std + ",phoenix"}, 101, "phoenix"},
		{"?vsn=2.0.0", []string{as("%%%")}, 403, ""},
		{"?vsn=2.0.0", []string{as("")}, 403, ""},
		{"?vsn=2.0.0&token=" + tok, []string{as("!")}, 403, ""},
		{"?vsn=2.0.0", []string{as(std) + ", base64url.bearer.phx." + std}, 403, ""},
		{"?vsn=2.0.0&token=" + tok, []string{"Sec-WebSocket-Protocol: phoenix"}, 101, "phoenix"},
		{"?vsn=2.0.0&token=" + tok, []string{"Sec-WebSocket-Protocol: graphql, other"}, 403, ""},
		{"?vsn=2.0.0", []string{"Sec-WebSocket-Protocol: base64url.bearer.phx." + std}, 101, ""},
		{"?vsn=2.0.0&token=" + tok, []string{"Origin: https://app.example"}, 101, ""},
		{"?vsn=2.0.0&token=" + tok, []string{"Origin: https://evil.example"}, 403, ""},
		{"?vsn=2.0.0&token=" + tok, []string{"Origin: null"}, 403, ""},
		{"?vsn=2.0.0&token=" + tok, []string{"Origin: http://" + s.Listener.Addr().String()}, 101, ""},
		{"?vsn=2.0.0&token=" + tok, []string{"Upgrade: h2c"}, 426, ""},
		{"?vsn=2.0.0&token=nonsense", []string{"Upgrade: h2c"}, 403, ""},
		{"?vsn=2.1.0&token=" + tok, []string{"Upgrade: h2c"}, 403, ""},
	} {
		client := s.Client().Transport
		if c.query[0] == '/' || strings.Contains(c.query, "[]") {
			s.Client().Transport = client.(checked).next // openapi.yaml describes only ordinary requests
		}
		status, protocol := s.shake(c.query, c.headers...)
		s.Client().Transport = client
		if status != c.status || protocol != c.protocol {
			t.Errorf(
				"%s %.60q: %d %q, want %d %q", strings.ReplaceAll(c.query, tok, "TOKEN"), c.headers, status, protocol, c.status,
				c.protocol,
			)
		}
	}
}

func TestSocketsAreLimitedAndDrained(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.ConnectionsPerUser = 1 })
		tok := token(t, "u", "*=*")
		c := s.dialSocket(tok)
		if status, _ := s.shake("?vsn=2.0.0&token=" + tok); status != 429 {
			t.Errorf("WebSocket: %d, want 429", status)
		}
		if a := s.poll("GET", "token="+tok, ""); a.Status != 500 { // after which clients reconnect
			t.Errorf("long-poll: %+v, want 500", a)
		}
		resp := s.do("GET", "/socket/sse?vsn=2.0.0&token="+tok, "", "Authorization: ")
		resp.Body.Close()
		if resp.StatusCode != 429 {
			t.Errorf("SSE: %s, want 429", resp.Status)
		}
		c.send(`["1","1","lobby","phx_join",{}]`)
		c.want(`["1","1","lobby","phx_reply",{"status":"ok","response":{}}]`)
		s.edge.Drain(t.Context())
		if _, _, err := c.conn.Read(c.ctx); websocket.CloseStatus(err) != 1012 {
			t.Errorf("%v, want 1012", err)
		}
		other := token(t, "other", "*=*")
		if status, _ := s.shake("?vsn=2.0.0&token=" + other); status != 503 {
			t.Errorf("WebSocket: %d, want 503", status)
		}
		if a := s.poll("GET", "token="+other, ""); a.Status != 500 {
			t.Errorf("long-poll: %+v, want 500", a)
		}
		resp = s.do("GET", "/socket/sse?vsn=2.0.0&token="+other, "", "Authorization: ")
		resp.Body.Close()
		if resp.StatusCode != 503 {
			t.Errorf("SSE: %s, want 503", resp.Status)
		}
	})
}

func TestSocketExpires(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startServer(t, nil, hub.Limits{}, nil)
		tok := tokenFor(t, "u", 5*time.Second, "*=*")
		c := s.dialSocket(tok)
		open := s.poll("GET", "token="+tok, "")
		got := ended(t, c)
		for ; strings.Contains(got, "token_expiring"); got = ended(t, c) {
		}
		want(t, got, "4001")
		synctest.Wait()
		query := "token=" + tok + "&token=" + url.QueryEscape(open.Token)
		if a := s.poll("POST", query, `[null,"1","phoenix","heartbeat",{}]`); a.Status != 410 {
			t.Errorf("the long-poll's session outlives its token: %+v", a)
		}
		if a := s.poll("GET", "token="+tok, ""); a.Status != 403 {
			t.Errorf("%+v, want 403", a)
		}
	})
}

func TestLongPollByTheBook(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	tok := token(t, "u", "*=*")
	app := "token=" + tok
	if a := s.poll("GET", "", ""); a.Status != 403 {
		t.Errorf("without a token: %+v", a)
	}
	if a := s.poll("POST", app, `[]`); a.Status != 410 {
		t.Errorf("a POST without a session: %+v", a)
	}
	open := s.poll("GET", app, "")
	session := app + "&token=" + url.QueryEscape(open.Token)

	var lines []string // more than 100, some of them binary, and a newline at the end
	for i := range 150 {
		if i%3 == 2 {
			frame := append([]byte{0, 1, 3, 5, 3}, fmt.Sprintf("1%03dlobbysay%s", i, strings.Repeat("\xff", i%5))...)
			lines = append(lines, base64.StdEncoding.EncodeToString(frame))
		} else {
			lines = append(lines, fmt.Sprintf(`["1","%03d","lobby","say",{"n":%d}]`, i, i))
		}
	}
	frames := `["1","1","lobby","phx_join",{}]` + "\r\n" + strings.Join(lines, "\n") + "\n\n"
	if a := s.poll("POST", session, frames); a.Status != 200 {
		t.Fatalf("%+v", a)
	}
	said, answered, current := 0, 0, session
	for said < 150 || answered < 150 {
		a := s.poll("GET", current, "")
		if a.Status != 200 || a.Token == "" {
			t.Fatalf("%d said, %d answered: %+v", said, answered, a)
		}
		current = app + "&token=" + url.QueryEscape(a.Token)
		for _, m := range a.Messages {
			switch {
			case m[0] != '[':
				t.Fatalf("no text frame: %q", m)
			case strings.HasPrefix(m, fmt.Sprintf(`["1","%03d","lobby","phx_reply",{"status":"ok"`, answered)):
				answered++
			case strings.HasPrefix(m, `[null,null,"lobby","say",`):
				said++
			case !strings.HasPrefix(m, `["1","1","lobby","phx_reply"`):
				t.Fatalf("after %d answers: %s", answered, m)
			}
		}
	}

	if a := s.poll("GET", "token="+token(t, "other", "*=*")+"&token="+url.QueryEscape(open.Token), ""); a.Status != 403 {
		t.Errorf("another user's session: %+v", a)
	}
	forged := open.Token[:len(open.Token)-1] + "A"
	if strings.HasSuffix(open.Token, "A") {
		forged = open.Token[:len(open.Token)-1] + "Q"
	}
	if a := s.poll("GET", app+"&token="+url.QueryEscape(forged), ""); a.Status == 200 || a.Status == 204 ||
		strings.Split(a.Token, ".")[0] == strings.Split(open.Token, ".")[0] {
		t.Errorf("a forged token: %+v", a)
	}
	if a := s.poll("POST", session, "!!!"); a.Status != 500 { // not base64
		t.Errorf("garbage: %+v", a)
	}
	if a := s.poll("GET", current, ""); a.Status != 500 {
		t.Errorf("a dead session: %+v, want 500", a)
	}
	if a := s.poll("POST", current, `[null,"1","phoenix","heartbeat",{}]`); a.Status != 410 {
		t.Errorf("a POST to a dead session: %+v, want 410", a)
	}
}

// TestLongPollPreflight: pages of allowed origins may send the headers that the official client sends.
func TestLongPollPreflight(t *testing.T) {
	s := startServer(
		t, nil, hub.Limits{}, func(o *handlers.Options) { o.AllowedOrigins = []string{"https://app.example"} },
	)
	s.Client().Transport = s.Client().Transport.(checked).next // openapi.yaml does not describe OPTIONS
	for origin, allowed := range map[string]bool{"https://app.example": true, "https://evil.example": false} {
		resp := s.do("OPTIONS", "/socket/longpoll", "", "Origin: "+origin, "Access-Control-Request-Method: POST",
			"Access-Control-Request-Headers: content-type,x-phoenix-authtoken,x-phoenix-longpoll-token")
		resp.Body.Close()
		headers := strings.ToLower(resp.Header.Get("Access-Control-Allow-Headers"))
		ok := resp.Header.Get("Access-Control-Allow-Origin") == origin &&
			strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), "POST") &&
			strings.Contains(headers, "content-type") && strings.Contains(headers, "x-phoenix-authtoken") &&
			strings.Contains(headers, "x-phoenix-longpoll-token")
		if ok != allowed {
			t.Errorf("%s: %s %v", origin, resp.Status, resp.Header)
		}
	}
}

// TestLongPollNewerGetTakesOver: the newer of two GETs receives the messages.
func TestLongPollNewerGetTakesOver(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startServer(t, nil, hub.Limits{}, nil)
		app := "token=" + token(t, "u", "*=*")
		session := app + "&token=" + url.QueryEscape(s.poll("GET", app, "").Token)
		older := make(chan int)
		go func() { older <- s.poll("GET", session, "").Status }()
		synctest.Wait() // so that the other poll is the newer one
		newer := make(chan []string)
		go func() { newer <- s.poll("GET", session, "").Messages }()
		if status := <-older; status != 204 {
			t.Errorf("the older GET: %d, want 204", status)
		}
		s.poll("POST", session, `[null,"1","phoenix","heartbeat",{}]`)
		if got := <-newer; len(got) != 1 {
			t.Errorf("the newer GET: %q", got)
		}
	})
}

// TestSSESocketLosses: frames that are no longer kept, or never existed, are reported. Only its user may use a session.
func TestSSESocketLosses(t *testing.T) {
	s := startServer(t, nil, hub.Limits{HistoryBytes: 64 << 20}, nil)
	tok := token(t, "u", "*=*")
	path := "/socket/sse?vsn=2.0.0&token=" + tok
	ask := func(query string) string {
		ctx, cancel := context.WithTimeout(context.Background(), hubtest.Hung)
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, "GET", s.URL+path+query, nil)
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		block := ""
		for lines := bufio.NewReader(resp.Body); ; {
			line, err := lines.ReadString('\n')
			if block += line; err != nil || line == "\n" {
				return block
			}
		}
	}
	session := func() string {
		var hello struct{ Session string }
		_, data, _ := strings.Cut(ask(""), `{"session":"`)
		hello.Session, _, _ = strings.Cut(data, `"`)
		return hello.Session
	}
	if got := ask("&session=nonsense"); !strings.HasPrefix(got, "event: bye") {
		t.Errorf("no session of ours: %q", got)
	}
	ahead := session()
	if got := ask("&after=7&session=" + ahead); !strings.HasPrefix(got, "event: bye") {
		t.Errorf("a frame that never was: %q", got)
	}
	resp := s.do("GET", path+"&after=x", "", "Authorization: ")
	resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("after=x: %s, want 400", resp.Status)
	}
	resp = s.do("GET", "/socket/sse?vsn=2.0.0&token=nonsense", "", "Authorization: ")
	resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("no token: %s, want 403", resp.Status)
	}
	mine := session()
	other := s.do("GET", "/socket/sse?vsn=2.0.0&token="+token(t, "other", "*=*")+"&session="+mine, "", "Authorization: ")
	b, _ := io.ReadAll(other.Body)
	other.Body.Close()
	if !strings.HasPrefix(string(b), "event: bye") {
		t.Errorf("another user's session: %q", b)
	}
	s.post(t, s.URL+path+"&session="+mine, `["1","1","lobby","phx_join",{}]`)
	read := func(after, n int) (last string) { // until frame n
		r, _ := http.NewRequest("GET", fmt.Sprintf("%s%s&session=%s&after=%d", s.URL, path, mine, after), nil)
		resp, err := s.Client().Transport.(checked).next.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for {
			line, err := lines.ReadString('\n')
			if last += line; err != nil || line == fmt.Sprintf("id: %d\n", n) {
				return last
			}
		}
	}
	if got := read(0, 1); !strings.Contains(got, `"phx_reply"`) {
		t.Fatalf("%q", got)
	}
	big, _ := json.Marshal(strings.Repeat("x", 200<<10))
	for range 12 {
		call[publishedJSON](s, 200, "POST", "/v1/topics/lobby/events", fmt.Sprintf(`{"event":"e","payload":%s}`, big))
	}
	read(1, 13)
	if got := read(12, 13); !strings.Contains(got, "\nid: 13\n") {
		t.Errorf("the last frame is not kept: %.200q", got)
	}
	call[publishedJSON](s, 200, "POST", "/v1/topics/lobby/events", `{"event":"e"}`)
	read(13, 14)
	if got := read(1, 2); !strings.HasPrefix(got, "event: bye") {
		t.Errorf("what is over the limit is not told: %.200q", got)
	}
}
