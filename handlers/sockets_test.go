package handlers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// wsClient is a plain WebSocket client, which sends and receives frames as text.
type wsClient struct {
	t    testing.TB
	conn *websocket.Conn
	ctx  context.Context
}

// dialSocket opens a socket with a token.
func (s *testServer) dialSocket(tok string) *wsClient {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hubtest.Hung)
	s.t.Cleanup(cancel)
	conn, _, err := websocket.Dial(
		ctx, s.URL+"/socket/websocket?vsn=2.0.0&token="+tok, &websocket.DialOptions{HTTPClient: s.plain},
	)
	if err != nil {
		s.t.Fatal(err)
	}
	conn.SetReadLimit(16 << 20)
	s.t.Cleanup(func() { conn.CloseNow() })
	return &wsClient{s.t, conn, ctx}
}

func (c *wsClient) send(frame string, args ...any) {
	c.t.Helper()
	if err := c.conn.Write(c.ctx, websocket.MessageText, fmt.Appendf(nil, frame, args...)); err != nil {
		c.t.Fatal(err)
	}
}

// next returns the next frame.
func (c *wsClient) next() string {
	c.t.Helper()
	_, data, err := c.conn.Read(c.ctx)
	if err != nil {
		c.t.Fatalf("no frame came: %v", err)
	}
	return string(data)
}

// want expects a frame.
func (c *wsClient) want(frame string, args ...any) {
	c.t.Helper()
	if got, want := c.next(), fmt.Sprintf(frame, args...); got != want {
		c.t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestSocketPublishes(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	a, b := s.dialSocket(token(t, "a", "*=*")), s.dialSocket(token(t, "b", "*=*"))
	a.send(`["1","1","lobby","phx_join",{}]`)
	a.want(`["1","1","lobby","phx_reply",{"status":"ok","response":{}}]`)
	b.send(`["7","7","lobby","phx_join",{"after":"now"}]`)
	position := joinPosition(t, b.next())
	b.send(`["7","8","lobby","say",{"_duckwire":{"id":"m1"},"text":"hi"}]`)
	a.want(`[null,null,"lobby","say",{"text":"hi"}]`)
	frames := b.next() + b.next()
	next := strings.Replace(position, ".0", ".1", 1)
	for _, want := range []string{
		fmt.Sprintf(`[null,%q,"lobby","say",{"text":"hi"}]`, next),
		fmt.Sprintf(`["7","8","lobby","phx_reply",{"status":"ok","response":{"id":"m1","position":%q}}]`, next),
	} {
		if !strings.Contains(frames, want) {
			t.Errorf("%s is missing in %s", want, frames)
		}
	}
}

// joinPosition returns the position in the reply to a join.
func joinPosition(t *testing.T, frame string) string {
	t.Helper()
	var fields []json.RawMessage
	var reply struct {
		Status   string
		Response struct {
			Recovered bool
			Position  string
		}
	}
	if err := json.Unmarshal([]byte(frame), &fields); err != nil || json.Unmarshal(fields[4], &reply) != nil ||
		reply.Status != "ok" {
		t.Fatalf("not a reply to a join: %s", frame)
	}
	return reply.Response.Position
}

// poll is one request of a long-poll.
func (s *testServer) poll(method, query, body string) (answer struct {
	Status   int
	Token    string
	Messages []string
},
) {
	s.t.Helper()
	r, _ := http.NewRequest(method, s.URL+"/socket/longpoll?vsn=2.0.0&"+query, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := s.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		s.t.Fatal(err)
	}
	return answer
}

func TestLongPollKeepsAnAnswerUntilItIsConfirmed(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	app := "token=" + url.QueryEscape(token(t, "a", "*=*"))
	open := s.poll("GET", app, "")
	if open.Status != 410 || open.Token == "" {
		t.Fatalf("opening: %+v", open)
	}
	session := app + "&token=" + url.QueryEscape(open.Token)
	frames := `["1","1","lobby","phx_join",{}]` + "\n" + `["1","2","lobby","say",{"n":1}]`
	if post := s.poll("POST", session, frames); post.Status != 200 {
		t.Fatalf("posting: %+v", post)
	}
	var messages []string
	for len(messages) < 3 {
		got := s.poll("GET", session, "")
		again := s.poll("GET", session, "") // like a proxy that repeats a request
		if got.Status != 200 || strings.Join(got.Messages, "\n") != strings.Join(again.Messages, "\n") ||
			got.Token != again.Token {
			t.Fatalf("got %+v, and again %+v", got, again)
		}
		messages = append(messages, got.Messages...)
		session = app + "&token=" + url.QueryEscape(got.Token)
	}
	if messages[0] != `["1","1","lobby","phx_reply",{"status":"ok","response":{}}]` {
		t.Errorf("the reply to the join is not the first: %s", messages)
	}
}

func TestSSESocketResumes(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	path := s.URL + "/socket/sse?vsn=2.0.0&token=" + token(t, "a", "*=*")
	read := func(query string, n int) (session string, frames []string) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, "GET", path+query, nil)
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for len(frames) < n && lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			switch {
			case !ok:
			case session == "":
				var hello struct{ Session string }
				if err := json.Unmarshal([]byte(data), &hello); err != nil {
					t.Fatal(err)
				}
				session = hello.Session
				if query == "" {
					s.post(t, path+"&session="+session, `["1","1","lobby","phx_join",{}]`+"\n"+`["1","2","lobby","say",{"n":1}]`)
				}
			default:
				frames = append(frames, data)
			}
		}
		return session, frames
	}
	session, frames := read("", 1)
	_, rest := read("&session="+session+"&after=1", 2)
	_, again := read("&session="+session+"&after=0", 3)
	if all := append(frames, rest...); strings.Join(all, "\n") != strings.Join(again, "\n") || len(all) != 3 {
		t.Errorf("got  %q\nthen %q", all, again)
	}
}

func (s *testServer) post(t *testing.T, url, body string) {
	t.Helper()
	r, _ := http.NewRequest("POST", url, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if raw, _ := io.ReadAll(resp.Body); string(raw) != `{"status":200}` {
		t.Fatalf("POST: %s %s", resp.Status, raw)
	}
}

// TestAnswersOfSockets: the answers of the socket's paths to clients without a valid token, and to invalid requests.
// Long-poll always answers 200.
func TestAnswersOfSockets(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.ConnectionsPerUser = 1 })
	upgrade := []string{
		"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}
	bad := append([]string{"Authorization: Bearer no"}, upgrade...)
	s.expect(403, "GET", "/socket/websocket?vsn=2.0.0", "", bad...)
	s.expect(403, "GET", "/socket/websocket?vsn=3.0.0", "", upgrade...)
	s.expect(
		403, "GET", "/socket/websocket?vsn=2.0.0", "", append([]string{"Origin: https://evil.example"}, upgrade...)...,
	)
	s.expect(403, "GET", "/socket/websocket?vsn=2.0.0", "", "Authorization: Bearer no") // before the 426
	s.expect(426, "GET", "/socket/websocket?vsn=2.0.0", "")
	s.expect(403, "GET", "/socket/sse?vsn=2.0.0", "", "Authorization: Bearer no")
	s.expect(400, "GET", "/socket/sse?vsn=2.0.0&after=x", "")
	conn, _, err := websocket.Dial(t.Context(), s.URL+"/socket/websocket?vsn=2.0.0", &websocket.DialOptions{
		HTTPClient: s.Client(), HTTPHeader: http.Header{"Authorization": {"Bearer " + token(t, "u", "*=*")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	s.expect(429, "GET", "/socket/websocket?vsn=2.0.0", "", upgrade...)
	s.expect(429, "GET", "/socket/sse?vsn=2.0.0", "")
	for query, want := range map[string]int{"token=no": 403, "vsn=2.0.0": 403} {
		if got := s.poll("GET", query, "").Status; got != want {
			t.Errorf("long-poll with %s: %d, want %d", query, got, want)
		}
	}
	if got := s.poll("POST", "token=no", "[]").Status; got != 410 {
		t.Errorf("a long-poll's POST without a session: %d", got)
	}
}
