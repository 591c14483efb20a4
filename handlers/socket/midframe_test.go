package socket_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
)

// TestPongsStayOutsideOfFrames: a client that does not read for a while, so that its frames go out in parts, and pings meanwhile, gets whole frames
// and pongs between them.
func TestPongsStayOutsideOfFrames(t *testing.T) {
	s := start(t, socket.Options{}, hub.Limits{HistoryEvents: 10_000, HistoryBytes: 64 << 20})
	const events = 60
	pad := strings.Repeat("x", 200<<10)
	for round := range 5 {
		topic := fmt.Sprint("room:", round)
		c := s.dialRaw("user=u")
		if _, err := c.Conn.Write(wsFrame(finText, fmt.Sprintf(`["1","1",%q,"phx_join",{}]`, topic))); err != nil {
			t.Fatal(err)
		}
		if _, payload, err := c.frame(); err != nil || !strings.Contains(string(payload), `"ok"`) {
			t.Fatalf("join: %s, %v", payload, err)
		}
		for n := range events {
			if _, err := s.hub.Publish(topic, "x", []hub.EventInput{{Event: "e", Payload: json.RawMessage(fmt.Sprintf(`{"n":%d,"pad":%q}`, n, pad))}}); err != nil {
				t.Fatal(err)
			}
			if n%3 == 0 {
				if _, err := c.Conn.Write(wsFrame(finPing, fmt.Sprint("ping", n))); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(20 * time.Millisecond) // so that the writer is in the middle of a frame
		for n := 0; n < events; {
			first, payload, err := c.frame()
			if err != nil {
				t.Fatalf("after %d events: %v", n, err)
			}
			switch first {
			case 0x8a:
				if !strings.HasPrefix(string(payload), "ping") {
					t.Fatalf("after %d events: a pong of %.40q", n, payload)
				}
			case 0x81:
				if want := fmt.Sprintf(`[null,null,%q,"e",{"n":%d,`, topic, n); !strings.HasPrefix(string(payload), want) || len(payload) < len(pad) {
					t.Fatalf("%.80q, want %s", payload, want)
				}
				n++
			default:
				t.Fatalf("after %d events: a frame that begins with %#x", n, first)
			}
		}
		c.Conn.Close()
	}
}
