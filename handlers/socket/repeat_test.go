package socket_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestPostRepeated: Chromium resends a POST by itself after a lost connection. Its messages are received once.
func TestPostRepeated(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := start(t, socket.Options{PollWindow: time.Second}, hub.Limits{})
		token := s.poll("GET", "user=u", "", "").Token
		frames := []string{}
		post := func(lines ...string) {
			t.Helper()
			body := strings.Join(lines, "\n")
			for range 3 {
				if a := s.poll("POST", "user=u", token, body); a.Status != 200 {
					t.Fatalf("%s: %+v", body, a)
				}
			}
		}
		post(`["1","1","room:a","phx_join",{}]`)
		post(`["1","2","room:a","e",{"n":1}]`, `["1","3","room:a","publish",{"n":2}]`)
		post("AAEBBgExNHJvb206YWV7fQ==") // the same event with bytes, as ref 4
		post(
			`[null,"9","phoenix","heartbeat",{}]`, `["1","5","room:a","e",{"n":3}]`,
			`["1", null, "room:a", "e", {"unanswered":1}]`,
		)
		for {
			a := s.poll("GET", "user=u", token, "")
			if len(a.Messages) == 0 {
				break
			}
			frames = append(frames, a.Messages...)
			token = a.Token
		}
		count := func(part string) (n int) {
			for _, f := range frames {
				if strings.Contains(f, part) {
					n++
				}
			}
			return n
		}
		for part, want := range map[string]int{
			`"1","room:a","phx_reply"`: 1, `"2","room:a","phx_reply"`: 1, `"3","room:a","phx_reply"`: 1,
			`"4","room:a","phx_reply"`: 1,
			`"5","room:a","phx_reply"`: 1, `"news"`: 1, "phx_close": 0,
			`"9","phoenix","phx_reply"`: 3, `"unanswered"`: 3, // these may be equal
		} {
			if got := count(part); got != want {
				t.Errorf("%d frames with %s, want %d", got, part, want)
			}
		}
		if t.Failed() {
			t.Log(strings.Join(slices.Compact(frames), "\n"))
		}
	})
}
