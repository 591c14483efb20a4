package socket_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestBadFramingHarmsItsSenderAlone: what breaks the framing of a WebSocket ends that connection with the right code, and
// no other.
func TestBadFramingHarmsItsSenderAlone(t *testing.T) {
	var in counter
	s := start(t, socket.Options{Enter: in.enter, FrameBytes: 64 << 10}, hub.Limits{})
	good := s.dial("user=good")
	good.send(`["1","1","room:1","phx_join",{}]`)
	good.want(ok(`"1"`, `"1"`, "room:1"))
	before := runtime.NumGoroutine()
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, c := range map[string]struct {
		text, bytes string
		code        websocket.StatusCode
	}{
		"not UTF-8":    {text: "[\"1\",\"2\",\"room:1\",\"publish\",{\"s\":\"\xff\"}]", code: 1007},
		"half a rune":  {text: "[\"1\",\"2\",\"room:1\",\"publish\",\"\xe2\x82\"]", code: 1007},
		"endless":      {text: strings.Repeat(" ", 513<<10), code: 1009},
		"endless, raw": {bytes: strings.Repeat("\x00", 513<<10), code: 1009},
	} {
		t.Run(name, func(t *testing.T) {
			bad := s.dial("user=bad")
			kind, frame := websocket.MessageText, c.text
			if c.bytes != "" {
				kind, frame = websocket.MessageBinary, c.bytes
			}
			if err := bad.conn.Write(bad.ctx, kind, []byte(frame)); err != nil {
				t.Fatal(err)
			}
			bad.t = t
			bad.wantClose(c.code)
		})
	}
	for range 200 { // random bytes instead of WebSocket frames
		c := s.dialRaw("user=bad")
		b := make([]byte, rnd.IntN(300))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		_, _ = c.Write(b)
		c.Close()
	}
	good.settled() // none of this reached the topic
	s.publish("room:1", "e", `{}`)
	good.want(`[null,null,"room:1","e",{}]`)
	in.falls(t, 1)
	hubtest.Until(
		t, fmt.Sprintf("no more than %d goroutines", before+3), func() bool { return runtime.NumGoroutine() <= before+3 },
	)
}

// TestOddPayloads: parameters and payloads may be any JSON value.
func TestOddPayloads(t *testing.T) {
	s := start(t, socket.Options{}, hub.Limits{})
	c := s.dial("user=u")
	for i, payload := range []string{
		`null`, `1e400`, `"x"`, `[]`, `[[[]]]`, `true`, `-0`, `{"a":1,"a":2}`, `9007199254740993`,
		strings.Repeat(`{"a":`, 5000) + `1` + strings.Repeat(`}`, 5000),
	} {
		topic := fmt.Sprint("room:", i)
		c.send(
			fmt.Sprintf(`["1","1",%q,"phx_join",%s]`, topic, payload), fmt.Sprintf(`["1","2",%q,"echo",%s]`, topic, payload),
		)
		c.want(ok(`"1"`, `"1"`, topic), fmt.Sprintf(`["1","2",%q,"phx_reply",{"status":"ok","response":%s}]`, topic, payload))
	}
	for _, params := range []string{`{"after":5}`, `{"client_id":{}}`, `{"after":"nonsense"}`, `{"client_id":"a b"}`} {
		c.send(fmt.Sprintf(`["1","1","room:x","phx_join",%s]`, params))
		if got := c.next(); !strings.HasPrefix(
			got, `["1","1","room:x","phx_reply",{"status":"error","response":{"reason":"invalid"`,
		) {
			t.Errorf("%s: %s", params, got)
		}
	}
	c.settled()
}

// TestTenThousandJoins: joins beyond the limit are refused, and all are answered.
func TestTenThousandJoins(t *testing.T) {
	s := start(t, socket.Options{}, hub.Limits{})
	c := s.dial("user=u")
	const joins = 10_000
	go func() {
		for i := range joins {
			if c.conn.Write(
				c.ctx, websocket.MessageText, fmt.Appendf(nil, `["%d","%d","room:%d","phx_join",{}]`, i, i, i),
			) != nil {
				return
			}
		}
	}()
	fine, refused := 0, 0
	for range joins {
		switch f := c.next(); {
		case strings.Contains(f, `"too many channels joined"`):
			refused++
		case strings.Contains(f, `"ok"`):
			fine++
		}
	}
	if fine != 100 || refused != joins-100 {
		t.Errorf("%d joined, %d refused", fine, refused)
	}
}

var neverRead = flag.Int("sockets.mib", 32, "how much TestNeverReads publishes, in MiB")

// TestNeverReads: a client that never reads costs bounded memory, is disconnected, and does not affect others. A client
// that reads slowly gets everything or a reset, and is not disconnected.
func TestNeverReads(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		var in counter
		s := start(t, socket.Options{Enter: in.enter, WriteTimeout: 2 * time.Second}, hub.Limits{HistoryBytes: 4 << 20})
		deaf := s.dialRaw("user=deaf")
		_, _ = deaf.Write(wsFrame(finText, `["1","1","room:1","phx_join",{"after":"now"}]`))
		if _, _, err := deaf.frame(); err != nil {
			t.Fatal(err)
		}
		slow := s.dialRaw("user=slow")
		_, _ = slow.Write(wsFrame(finText, `["1","1","room:1","phx_join",{"after":"now"}]`))
		if _, _, err := slow.frame(); err != nil {
			t.Fatal(err)
		}
		fast := s.dial("user=fast")
		fast.send(`["1","1","room:1","phx_join",{"after":"now"}]`)
		fast.next()
		const size = 200 << 10
		slowly := make(chan error, 1)
		go func() { // about 256 KiB in three times the timeout before it reads on as fast as it can
			for range 60 {
				b := make([]byte, 4<<10)
				if _, err := slow.r.Read(b); err != nil {
					slowly <- err
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
			slowly <- nil
		}()
		before := heap()
		next := 0
		for n := range *neverRead << 20 / size {
			s.publish("room:1", "e", fmt.Sprintf(`{"n":%d,"x":%q}`, n, strings.Repeat("x", size)))
			for next <= n { // then it reads fast enough
				var f []json.RawMessage
				var p struct{ N int }
				frame := fast.next()
				if json.Unmarshal([]byte(frame), &f) != nil || json.Unmarshal(f[4], &p) != nil || p.N != next ||
					string(f[3]) != `"e"` {
					t.Fatalf("waiting for %d: %.100s", next, frame)
				}
				next++
			}
		}
		grown := int64(heap()) - int64(before)
		t.Logf("%d MiB published, the heap grew by %d KiB", *neverRead, grown>>10)
		if grown > 32<<20 {
			t.Errorf("the heap grew by %d MiB", grown>>20)
		}
		in.falls(t, 2)
		if err := <-slowly; err != nil {
			t.Errorf("the slow reader was cut: %v", err)
		}
		fast.settled()
	})
}

// TestHalfOpenPeer: a client whose network disappeared is pinged and then closed; one that answers pings stays.
func TestHalfOpenPeer(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		var in counter
		s := start(t, socket.Options{Enter: in.enter, IdleTimeout: 4 * time.Second}, hub.Limits{})
		c := s.dialRaw("user=u") // does not answer pings
		alive := s.dial("user=alive")
		go func() { _, _, _ = alive.conn.Read(alive.ctx) }() // answers pings
		if first, _, err := c.frame(); err != nil || first != 0x89 {
			t.Errorf("%x, %v; want a ping", first, err)
		}
		for {
			first, payload, err := c.frame()
			if err != nil {
				t.Fatal(err)
			}
			if first == 0x88 {
				if code := int(payload[0])<<8 | int(payload[1]); code != 1002 {
					t.Errorf("closed with %d, want 1002", code)
				}
				break
			}
		}
		in.falls(t, 1)
		if in.Load() != 1 {
			t.Error("the one that answers pings was closed, too")
		}
	})
}

func TestDisconnectAndDrain(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := start(t, socket.Options{PollWindow: 20 * time.Second}, hub.Limits{})
		a, b, other := s.dial("user=u"), s.dial("user=u"), s.dial("user=other")
		session := s.poll("GET", "user=u", "", "").Token
		a.send(`["1","1","room:1","phx_join",{}]`)
		a.want(ok(`"1"`, `"1"`, "room:1"))
		b.settled() // the server registers a socket shortly after the handshake
		other.settled()
		polled := make(chan int)
		go func() { polled <- s.poll("GET", "user=u", session, "").Status }()
		if n := s.Disconnect("u"); n != 3 {
			t.Errorf("%d sockets of u, want 3", n)
		}
		a.wantClose(1001) // and no frame of the channel before it
		b.wantClose(1001)
		if status := <-polled; status != 500 {
			t.Errorf("the poll: %d, want 500", status)
		}
		other.settled()
		var many []*client
		for range 250 { // three waves
			many = append(many, s.dial("user=many"))
		}
		s.Drain(t.Context())
		other.wantClose(1012)
		for _, c := range many {
			c.wantClose(1012)
		}
	})
}
