package crash_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

// TestLimitsOverNodes uses up a user's rate limit on one node: the other then rejects that user, too, and nobody else.
func TestLimitsOverNodes(t *testing.T) {
	hubtest.Full(t, "redis-server")
	t.Parallel()
	redis := "DUCKWIRE_REDIS_URL=" + redistest.Start(t).URL()
	a, b := newServer(t, redis, "DUCKWIRE_HEAVY_PER_MINUTE=50"), newServer(t, redis, "DUCKWIRE_HEAVY_PER_MINUTE=50")
	a.start()
	b.start()
	complete := func(c *client) (int, string) {
		return c.call("POST", "/v1/completions", `{"prompt":"func main() {","max_tokens":1}`, nil)
	}
	ada := a.client("ada")
	for n := range 50 {
		if status, answer := complete(ada); status != http.StatusOK {
			t.Fatalf("completion %d of 50: %d %s", n, status, answer)
		}
	}
	status, answer, allowed := http.StatusOK, "", 0
	for ; status == http.StatusOK && allowed < 40; allowed++ { // a single node would allow 50
		time.Sleep(100 * time.Millisecond) // nodes report what was taken with a delay
		status, answer = complete(b.client("ada"))
	}
	if status != http.StatusTooManyRequests || !strings.Contains(answer, "heavy_per_minute") {
		t.Errorf("%d %s", status, answer)
	}
	if status, answer := complete(b.client("bob")); status != http.StatusOK {
		t.Errorf("another user: %d %s", status, answer)
	}
	a.stop()
	b.stop()
}

// TestCapsOverNodes opens connections on one node: they count on the other, until they are closed.
func TestCapsOverNodes(t *testing.T) {
	hubtest.Full(t, "redis-server")
	t.Parallel()
	redis, most := "DUCKWIRE_REDIS_URL="+redistest.Start(t).URL(), "DUCKWIRE_CONNECTIONS_PER_USER=3"
	a, b := newServer(t, redis, most), newServer(t, redis, most)
	a.start()
	b.start()
	open := func(s *server) (end func(), event string) {
		c := s.client("ada")
		resp, err := c.http.Do(c.request("GET", "/v1/topics/lobby/events", "", "Accept", "text/event-stream"))
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(resp.Body)
		for event == "" && lines.Scan() {
			event, _ = strings.CutPrefix(lines.Text(), "event: ")
			if event == lines.Text() {
				event = ""
			}
		}
		t.Cleanup(func() { resp.Body.Close() })
		return func() { resp.Body.Close() }, event
	}
	var end func()
	for range 3 {
		var event string
		if end, event = open(a); event != "hello" {
			t.Fatal(event)
		}
	}
	until := func(what, want string) {
		t.Helper()
		hubtest.Until(t, what+" to be told "+want, func() bool {
			end, event := open(b)
			end()
			return event == want
		})
	}
	until("the fourth, on the other node", "bye")
	end()
	until("after one has ended", "hello")
	a.stop()
	b.stop()
}
