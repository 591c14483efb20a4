package socket

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
)

// publishLong publishes an event of about n bytes, with characters of four bytes each.
func (d *deliveries) publishLong(t *testing.T, n int) {
	t.Helper()
	payload := []byte(`{"text":"x` + strings.Repeat("🦆", n/4) + `"}`)
	if _, err := d.hub.Publish(deliveryTopic, "u", []hub.EventInput{{Event: "long", Payload: payload}}); err != nil {
		t.Fatal(err)
	}
}

// messagesIn returns the payloads of the WebSocket frames in b.
func messagesIn(t *testing.T, b []byte) (payloads []string) {
	t.Helper()
	for len(b) > 0 {
		f := frame(b)
		head := len(f) - len(f.payload())
		size := int(f[1])
		if head > 2 {
			size = 0
			for _, c := range f[2:head] {
				size = size<<8 | int(c)
			}
		}
		payloads = append(payloads, string(b[head:head+size]))
		b = b[head+size:]
	}
	return payloads
}

const heartbeat, heartbeatReply = `[null,"h","phoenix","heartbeat",{}]`,
	`[null,"h","phoenix","phx_reply",{"status":"ok","response":{}}]`

// TestHeartbeatWaitsForOneFrame: while a slow client is sent several frames that were taken from the socket together, the
// reply to a heartbeat follows the one that is under way.
func TestHeartbeatWaitsForOneFrame(t *testing.T) {
	d := newDeliveries(t, 1)
	s := d.sockets[0].socket
	for range 3 {
		d.publishLong(t, 80_000)
	}
	var p pull
	first, more := s.group(&p)
	if got := messagesIn(t, first); len(got) != 1 || !more || len(p.frames) != 3 {
		t.Fatalf("the first group has %d of %d frames; more: %v", len(got), len(p.frames), more)
	}
	if err := s.Receive(t.Context(), []byte(heartbeat), false, true); err != nil {
		t.Fatal(err)
	}
	next, _ := s.group(&p)
	if got := messagesIn(t, next); got[0] != heartbeatReply {
		t.Fatalf("behind the frame under way comes %.80s", got[0])
	}
	n := len(messagesIn(t, next)) - 1
	for more := true; more; {
		var b []byte
		b, more = s.group(&p)
		n += len(messagesIn(t, b))
	}
	if n != 2 {
		t.Errorf("%d frames follow, want 2", n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backlog != 0 {
		t.Errorf("a backlog of %d bytes is left", s.backlog)
	}
}

// TestParts: a client that takes parts gets a long frame in messages of at most partBytes, which together are what
// others get; the reply to a heartbeat comes between them, and short frames are whole.
func TestParts(t *testing.T) {
	d := newDeliveries(t, 2)
	whole, s := d.sockets[0].socket, d.sockets[1].socket
	s.parts = true
	d.publishLong(t, 300_001)
	d.publishLong(t, 16)
	var want bytes.Buffer
	var p pull
	for more := true; more; {
		var b []byte
		b, more = whole.group(&p)
		for _, m := range messagesIn(t, b) {
			want.WriteString(m + "\n")
		}
	}
	var got bytes.Buffer
	replies := 0
	p = pull{}
	for more := true; more; {
		var b []byte
		b, more = s.group(&p)
		if len(b) > pullBytes+2*partBytes {
			t.Errorf("a group has %d bytes", len(b))
		}
		for _, m := range messagesIn(t, b) {
			switch kind, part := m[0], m[1:]; {
			case len(part) > partBytes || !utf8.ValidString(m):
				t.Errorf("a message has %d bytes, or half a character: %.40q", len(m), m)
			case m == heartbeatReply:
				replies++
			case kind == partMore:
				got.WriteString(part)
			case kind == partLast:
				got.WriteString(part + "\n")
			default:
				got.WriteString(m + "\n")
			}
		}
		if err := s.Receive(t.Context(), []byte(heartbeat), false, true); err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != want.String() {
		t.Errorf("%d bytes, want %d", got.Len(), want.Len())
	}
	if replies < 3 {
		t.Errorf("%d replies between the parts", replies)
	}
}
