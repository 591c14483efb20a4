package handlers_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// limitJSON is the part of an answer that describes a limit.
type limitJSON struct {
	Code, Detail string
	Limit        int
	RetryAfter   int `json:"retry_after"`
}

// withRates starts a server with limits that a test can reach.
func withRates(t *testing.T, provider hub.Provider, rates ratelimit.Limits) *testServer {
	t.Helper()
	return startServer(t, provider, hub.Limits{}, func(o *handlers.Options) { o.Rates = rates })
}

// wantLimited expects a problem that names the limit, and a wait between least seconds and twice that. The test must
// run in a synctest bubble.
func (s *testServer) wantLimited(name string, limit, least int, method, path, body string, headers ...string) {
	s.t.Helper()
	resp := s.do(method, path, body, headers...)
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	var p limitJSON
	if err := json.Unmarshal(raw, &p); err != nil || resp.StatusCode != 429 {
		s.t.Fatalf("%s %s: %s, want 429: %s", method, path, resp.Status, raw)
	}
	if p.Code != "rate_limited" || p.Limit != limit || !strings.Contains(p.Detail, name) {
		s.t.Errorf("%s %s: %+v, want %s, %d", method, path, p, name, limit)
	}
	if after, _ := strconv.Atoi(resp.Header.Get("Retry-After")); after != p.RetryAfter || after < least ||
		after > 2*least+1 {
		s.t.Errorf(
			"%s %s: Retry-After %q and %d, want %d to %d", method, path, resp.Header.Get("Retry-After"), p.RetryAfter, least,
			2*least,
		)
	}
}

func TestHeavyRequestsAreLimited(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := withRates(t, scripted(hello), ratelimit.Limits{HeavyPerMinute: 2})
		s.expect(200, "POST", chatPath, chatBody(""))
		s.expect(200, "POST", chatPath, chatBody(`,"stream":true`))
		resp := s.do("POST", chatPath, chatBody(""))
		raw, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 429 || !strings.Contains(string(raw), `"code":"rate_limited"`) ||
			!strings.Contains(string(raw), "heavy_per_minute") {
			t.Errorf("%s: %s", resp.Status, raw)
		}
		if after, _ := strconv.Atoi(resp.Header.Get("Retry-After")); after < 20 || after > 60 {
			t.Errorf("Retry-After: %q", resp.Header.Get("Retry-After"))
		}
		s.wantLimited("heavy_per_minute", 2, 30, "POST", "/v1/analyses", `{"project":"42"}`)
		s.expect(200, "POST", chatPath, chatBody(""), as(t, "ada", "*=*"))
		s.expect(200, "POST", eventsPath, `{"event":"e"}`) // not a heavy request
	})
}

func TestPublishesAreLimited(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := withRates(t, nil, ratelimit.Limits{EventsPerSecond: 1, CursorsPerSecond: 1, QueuePerSecond: 1})
		batch := func(n int, more string) string {
			one := `{"event":"e"` + more + `}`
			return "[" + strings.Repeat(one+",", n-1) + one + "]"
		}
		s.expect(200, "POST", eventsPath, batch(100, "")) // more than a bucket, so that it does not fill while the test runs
		s.wantLimited("events_per_second", 1, 91, "POST", eventsPath, batch(1, ""))
		s.expect(200, "POST", eventsPath, batch(50, `,"ephemeral":true`))
		s.wantLimited("cursors_per_second", 1, 41, "POST", eventsPath, batch(1, `,"ephemeral":true`))
		s.expect(200, "POST", eventsPath, batch(9, `,"durable":true,"to":["ada"]`))
		s.expect(201, "POST", "/v1/users/ada/messages", batch(1, ""))
		s.wantLimited("queue_per_second", 1, 10, "POST", "/v1/users/ada/messages", batch(100, ""))
		s.wantLimited("queue_per_second", 1, 10, "POST", eventsPath, batch(100, `,"durable":true,"to":["ada"]`))
		s.expect(200, "POST", eventsPath, batch(10, ""), as(t, "ada", "*=*"))
		history := call[historyJSON](s, 200, "GET", eventsPath+"?limit=1000", "")
		if len(history.Events) != 119 { // 100, 9 durable ones, 10 of ada's
			t.Errorf("%d events, want 119: what was refused was published", len(history.Events))
		}
	})
}

func TestFollowingIsLimited(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := withRates(t, nil, ratelimit.Limits{JoinsPerMinute: 3})
		s.stream("GET", "/v1/events?topic=a&topic=b", "").want("hello")
		s.stream("GET", eventsPath, "").want("hello")
		bye := s.stream("GET", eventsPath, "").want("bye")
		if ms, _ := strconv.Atoi(bye.retry); ms < 20_000 || ms > 42_000 || !strings.Contains(bye.data, `"overloaded"`) {
			t.Errorf("%+v", bye)
		}
	})
}

// TestBurstsOnSocketsAreThrottled: the messages of a burst that exceed the limit are answered with it, and the channel
// goes on.
func TestBurstsOnSocketsAreThrottled(t *testing.T) {
	for _, transport := range []string{"WebSocket", "long-poll", "SSE"} {
		t.Run(transport, func(t *testing.T) {
			hubtest.OwnClock(t, func(t *testing.T) {
				s := withRates(t, nil, ratelimit.Limits{EventsPerSecond: 2, CursorsPerSecond: 2})
				c := s.pushes(transport, token(t, "u", "*=*"))
				c.send(`["1","1","lobby","phx_join",{}]`)
				c.until(`"phx_reply",{"status":"ok"`)
				for n := range 120 {
					c.send(fmt.Sprintf(`["1","e%d","lobby","say",{"n":%d}]`, n, n))
				}
				var reply string
				for n := range 120 {
					reply = c.until(fmt.Sprintf(`["1","e%d","lobby","phx_reply"`, n))
					if n < 20 && !strings.Contains(reply, `"status":"ok"`) {
						t.Fatalf("push %d of a burst of 20: %s", n, reply)
					}
				}
				wantThrottled(t, reply, "events_per_second", 2, 500)
				c.send(`["1","c","lobby","at",{"_duckwire":{"ephemeral":true}}]`)
				if reply := c.until(`["1","c","lobby","phx_reply"`); !strings.Contains(reply, `"status":"ok"`) {
					t.Errorf("cursors have a rate of their own: %s", reply)
				}
				time.Sleep(time.Second) // the maximum wait that it may be told
				c.send(`["1","l","lobby","say",{}]`)
				if reply := c.until(`["1","l","lobby","phx_reply"`); !strings.Contains(reply, `"status":"ok"`) {
					t.Errorf("the channel is not let go on: %s", reply)
				}
			})
		})
	}
}

// wantThrottled expects an error reply that names the limit, and a wait between least milliseconds and twice that.
func wantThrottled(t *testing.T, frame, name string, limit, least int) {
	t.Helper()
	var fields []json.RawMessage
	var reply struct {
		Status   string
		Response struct {
			Reason, Detail string
			Limit          int
			RetryAfter     int `json:"retry_after_ms"`
		}
	}
	if err := json.Unmarshal([]byte(frame), &fields); err != nil || len(fields) != 5 ||
		json.Unmarshal(fields[4], &reply) != nil {
		t.Fatalf("no reply: %s", frame)
	}
	r := reply.Response
	if reply.Status != "error" || r.Reason != "rate_limited" || r.Limit != limit || !strings.Contains(r.Detail, name) ||
		r.RetryAfter < 1 || r.RetryAfter > 2*least+1 {
		t.Errorf("%s: want rate_limited, %s, %d and at most %d ms", frame, name, limit, 2*least)
	}
}

// TestCursorsAreOfASession: cursors are counted for each session, events for each user.
func TestCursorsAreOfASession(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := withRates(t, nil, ratelimit.Limits{EventsPerSecond: 1, CursorsPerSecond: 5})
		tok := token(t, "u", "*=*")
		a, b := s.pushes("WebSocket", tok), s.pushes("WebSocket", tok)
		for _, c := range []*pushClient{a, b} {
			c.send(`["1","1","code:project:1","phx_join",{}]`)
			c.until(`"phx_reply",{"status":"ok"`)
		}
		move := `["1","m%d","code:project:1","cursor_position",{"position":{"line":1,"column":1}}]`
		for n := range 300 {
			a.send(fmt.Sprintf(move, n))
		}
		wantThrottled(t, a.until(`["1","m299","code:project:1","phx_reply"`), "cursors_per_second", 5, 200)
		b.send(fmt.Sprintf(move, 0))
		if reply := b.until(`["1","m0","code:project:1","phx_reply"`); !strings.Contains(reply, `"status":"ok"`) {
			t.Errorf("the other session's cursor: %s", reply)
		}
		// the latter is not ephemeral, whatever it says
		for _, event := range []string{`"get_status",{}`, `"code_change",{"changes":[],"_duckwire":{"ephemeral":true}}`} {
			for n := range 40 {
				b.send(fmt.Sprintf(`["1","s%d","code:project:1",%s]`, n, event))
			}
			wantThrottled(t, b.until(`["1","s39","code:project:1","phx_reply"`), "events_per_second", 1, 1000)
		}
	})
}

// TestHeavyMessagesOnSocketsAreLimited: a conversation reports a throttled message like any other failure, by the reply
// and by the event for which RubberDuck's clients wait.
func TestHeavyMessagesOnSocketsAreLimited(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := withRates(t, scripted(hello), ratelimit.Limits{HeavyPerMinute: 1})
		c := s.pushes("WebSocket", token(t, "u", "*=*"))
		c.send(`["1","1","conversation:7","phx_join",{}]`)
		c.until(`"phx_reply",{"status":"ok"`)
		c.send(`["1","a","conversation:7","message",{"content":"hi"}]`)
		c.until(`["1","a","conversation:7","phx_reply",{"status":"ok"`)
		c.send(`["1","b","conversation:7","message",{"content":"and?"}]`)
		c.until(`"type":"rate_limited"`)
		wantThrottled(t, c.until(`["1","b","conversation:7","phx_reply"`), "heavy_per_minute", 1, 60_000)
		c.send(`["2","2","code:project:1","phx_join",{}]`)
		c.until(`["2","2","code:project:1","phx_reply",{"status":"ok"`)
		for _, event := range []string{
			"request_completion", "complete", "generate", "refactor", "request_analysis", "analyze",
		} {
			c.send(fmt.Sprintf(`["2",%q,"code:project:1",%q,{}]`, event, event))
			wantThrottled(t, c.until(fmt.Sprintf(`["2",%q,"code:project:1","phx_reply"`, event)), "heavy_per_minute", 1, 60_000)
		}
	})
}

func TestJoinsAreLimited(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := withRates(t, nil, ratelimit.Limits{JoinsPerMinute: 2})
		c := s.pushes("WebSocket", token(t, "u", "*=*"))
		for n := range 2 {
			c.send(fmt.Sprintf(`["%d","%d","t%d","phx_join",{}]`, n, n, n))
			c.until(fmt.Sprintf(`["%d","%d","t%d","phx_reply",{"status":"ok"`, n, n, n))
		}
		c.send(`["9","9","t9","phx_join",{}]`)
		wantThrottled(t, c.until(`["9","9","t9","phx_reply"`), "joins_per_minute", 2, 30_000)
		c.send(`["0","x","t0","say",{}]`)
		if reply := c.until(`["0","x","t0","phx_reply"`); !strings.Contains(reply, `"status":"ok"`) {
			t.Errorf("a channel that was joined before: %s", reply)
		}
	})
}

// TestConnectionsAreLimited: live answers, long-polls, whole completions, uploads and sockets all count as connections,
// of a user and of an address.
func TestConnectionsAreLimited(t *testing.T) {
	proxies, err := middleware.ParseProxies([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		from  string // another address
		limit func(o *handlers.Options)
	}{
		{"connections", "198.51.100.2", func(o *handlers.Options) { o.Connections = 1 }},
		{"connections_per_user", "198.51.100.2", func(o *handlers.Options) { o.ConnectionsPerUser = 1 }},
		{"connections_per_address", "198.51.100.1", func(o *handlers.Options) { o.ConnectionsPerAddress = 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			hubtest.OwnClock(t, func(t *testing.T) {
				s := startServer(
					t, scripted(endlessly), hub.Limits{}, func(o *handlers.Options) { o.Proxies = proxies; c.limit(o) },
				)
				newTestStream(s, `{"id":"s"}`)
				s.stream("GET", eventsPath, "", "X-Forwarded-For: 198.51.100.1").want("hello")
				user := "u"
				if c.name != "connections_per_user" {
					user = "ada"
				}
				from, other := "X-Forwarded-For: "+c.from, as(t, user, "*=*")
				for _, path := range []string{
					eventsPath + "?wait=5", "/v1/streams/s?wait=5", "/v1/users/me/messages?wait=5",
					"/v1/workers/analysis/jobs?worker=w&wait=5",
				} {
					s.wantLimited("("+c.name+")", 1, 5, "GET", path, "", from, other, "Accept: application/json")
				}
				s.expect(429, "POST", chatPath, chatBody(""), from, other)
				for _, method := range []string{"POST", "PUT"} {
					r := s.request(method, "/v1/streams/s/append", "", from, other, "Content-Type: text/plain")
					r.Body, r.ContentLength = io.NopCloser(strings.NewReader("text")), -1
					resp, err := s.Client().Do(r)
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					if resp.StatusCode != http.StatusTooManyRequests {
						t.Errorf("%s of an upload: %s", method, resp.Status)
					}
				}
				if status, _ := s.shake("?vsn=2.0.0&token="+token(t, user, "*=*"), from); status != 429 {
					t.Errorf("WebSocket: %d", status)
				}
			})
		})
	}
}
