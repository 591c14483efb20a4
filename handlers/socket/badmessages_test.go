package socket_test

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// TestBadMessageHarmsItselfAlone: on every transport a bad message is answered with an error, as far as it can be read.
// The socket, its channel and the messages around it go on.
func TestBadMessageHarmsItselfAlone(t *testing.T) {
	const invalid, tooLarge = `"reason":"invalid"`, `"reason":"too_large"`
	deep := strings.Repeat("[", 20000) + strings.Repeat("]", 20000)
	large := strings.Repeat("x", 70<<10)
	for _, c := range []struct {
		name, frame string
		head, about string // the beginning of the answer, and what its response has
	}{
		{"a number", `5`, `[null,null,"phoenix"`, invalid},
		{"an empty array", `[]`, `[null,null,"phoenix"`, invalid},
		{"an object", `{"topic":"room:1","event":"echo","payload":{},"ref":"2","join_ref":"1"}`, `["1","2","room:1"`, invalid},
		{"an object without refs", `{"a":[1]}`, `[null,null,"phoenix"`, invalid},
		{"no payload", `["1","2","room:1","echo"]`, `["1","2","room:1"`, `"field":"payload"`},
		{"no event", `["1","2","room:1"]`, `["1","2","room:1"`, `"field":"event"`},
		{"no topic", `["1","2"]`, `["1","2","phoenix"`, `"field":"topic"`},
		{"no ref", `["1"]`, `["1",null,"phoenix"`, `"field":"ref"`},
		{"an event that is a number", `["1","2","room:1",7,{}]`, `["1","2","room:1"`, `"field":"event"`},
		{"an event that is null", `["1",2,"room:1",null,{}]`, `["1",2,"room:1"`, `"field":"event"`},
		{"a topic that is a number", `["1","2",7,"echo",{}]`, `[null,"2",7`, `"unmatched topic"`},
		{"half an emoji in the topic", `["1","2","room:\ud83d","phx_join",{}]`, `[null,"2","room:\ud83d"`, `"unmatched topic"`},
		{"refs on several lines", "[\"1\",{\"a\":\r1},\"room:1\",7,{}]", `["1",{"a":1},"room:1"`, invalid},
		{"an end that is missing", `["1","2","room:1","echo",{"a":`, `["1","2","room:1"`, invalid},
		{"nested too deeply", `["1","2","room:1","echo",` + deep + `]`, `["1","2","room:1"`, invalid},
		{"something behind", `["1","2","room:1","echo",{}] x`, `["1","2","room:1"`, invalid},
		{"too large", `["1","2","room:1","echo",{"x":"` + large + `"}]`, `["1","2","room:1"`, tooLarge},
		{"a join too large", `["5","5","room:5","phx_join",{"x":"` + large + `"}]`, `["5","5","room:5"`, tooLarge},
		{"far too large", `["1","2","room:1","echo","` + strings.Repeat("x", 400<<10) + `"]`, `["1","2","room:1"`, tooLarge},
		{"spaces alone, too many", "[" + strings.Repeat(" ", 70<<10) + "]", `[null,null,"phoenix"`, tooLarge},
		{"a ref too large", `["` + large + `","2","room:1","echo",{}]`, `[null,null,"phoenix"`, tooLarge},

		{"an unknown kind", "\x09\x01\x01\x06\x0412room:1echo", `["1","2","room:1"`, `"field":"kind"`},
		{"a reply", "\x01\x01\x01\x06\x0212room:1ok{}", `["1","2","room:1"`, `"field":"kind"`},
		{"a broadcast", "\x02\x06\x04room:1echo", `[null,null,"phoenix"`, `"field":"kind"`},
		{"a kind alone", "\x00", `[null,null,"phoenix"`, invalid},
		{"lengths alone", "\x00\x01\x01\x06\x04", `[null,null,"phoenix"`, invalid},
		{"a topic that is cut", "\x00\x01\x01\x06\x0412roo", `["1","2","phoenix"`, invalid},
		{"an event that is cut", "\x00\x01\x01\x06\x0412room:1ech", `["1","2","room:1"`, invalid},
		{"a topic in Latin-1", "\x00\x01\x01\x03\x0412r\xe9mecho", `["1","2","r\ufffdm"`, `"field":"topic"`},
		{"bytes too large", "\x00\x01\x01\x06\x0412room:1echo" + large, `["1","2","room:1"`, tooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, socket.Options{FrameBytes: 64 << 10}, hub.Limits{MessageBytes: 24 << 10})
			for name, open := range transports {
				p := open(s)
				p.send(`["1","1","room:1","phx_join",{}]`)
				expect(t, p, ok(`"1"`, `"1"`, "room:1"))
				sendAny(p, c.frame)
				p.send(`["1","3","room:1","echo",{"a":1}]`)
				answer := p.next()
				want := c.head + `,"phx_reply",{"status":"error","response":{"reason":`
				if !strings.HasPrefix(answer, want) || !strings.Contains(answer, c.about) {
					t.Errorf("%s: the answer is %.200s; want %s… with %s", name, answer, want, c.about)
				}
				if c.about == tooLarge && !strings.Contains(answer, `"limit":24576`) {
					t.Errorf("%s: the limit is missing in %s", name, answer)
				}
				expect(t, p, `["1","3","room:1","phx_reply",{"status":"ok","response":{"a":1}}]`)
			}
		})
	}
}

// TestGarbageEndsItsSocket: what is not JSON, and of which nothing can be read, ends a socket, as in Phoenix.
func TestGarbageEndsItsSocket(t *testing.T) {
	for _, garbage := range []string{"hello", "", "[hello", "{", "!!!"} {
		s := start(t, socket.Options{}, hub.Limits{})
		c := s.dial("user=u")
		c.send(garbage)
		c.wantClose(1011)
		if garbage == "" {
			continue // an empty line is no message
		}
		open := s.poll("GET", "user=u", "", "")
		if a := s.poll("POST", "user=u", open.Token, garbage); a.Status != 500 {
			t.Errorf("%s: a POST was answered %+v", garbage, a)
		}
		if a := s.poll("GET", "user=u", open.Token, ""); a.Status != 500 {
			t.Errorf("%s: a GET was answered %+v", garbage, a)
		}
	}
}

// sendAny sends a frame, which is binary if it begins with a control character.
func sendAny(p peer, frame string) {
	c, isWebSocket := p.(*client)
	switch {
	case frame == "" || frame[0] >= ' ':
		p.send(frame)
	case isWebSocket:
		c.sendBytes([]byte(frame))
	default:
		p.send(base64.StdEncoding.EncodeToString([]byte(frame)))
	}
}

func expect(t *testing.T, p peer, want string) {
	t.Helper()
	if got := p.next(); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

// TestHalfAnEmoji: half an emoji is replaced by U+FFFD in payloads and parameters. A ref comes back as it was sent.
func TestHalfAnEmoji(t *testing.T) {
	s := start(t, socket.Options{}, hub.Limits{})
	for name, open := range transports {
		p := open(s)
		topic := "room:" + name
		p.send(
			fmt.Sprintf(`["\ud83d","\ude00",%q,"phx_join",{"x":"\ud83d"}]`, topic),
			fmt.Sprintf(`["\ud83d","2",%q,"echo",{"\udfffx":"\ud83d\ude00\uD83D\\ud83d"}]`, topic),
		)
		expect(t, p, ok(`"\ud83d"`, `"\ude00"`, topic))
		expect(t, p, fmt.Sprintf(
			`["\ud83d","2",%q,"phx_reply",{"status":"ok","response":{"\ufffdx":"\ud83d\ude00\ufffd\\ud83d"}}]`, topic,
		))
		s.publish(topic, "e", `{"x":["\ude00"]}`)
		expect(t, p, fmt.Sprintf(`[null,null,%q,"e",{"x":["\ufffd"]}]`, topic))
	}
}

// TestVersion1TooLarge: the refs of version 1.0.0 stand at the end, and are lost in a message that is too large.
func TestVersion1TooLarge(t *testing.T) {
	s := start(t, socket.Options{FrameBytes: 64 << 10}, hub.Limits{})
	c := s.dialPath("/websocket?user=u")
	large := strings.Repeat("x", 70<<10)
	c.send(`{"topic":"room:1","event":"phx_join","payload":{"x":"`+large+`"},"ref":"1"}`,
		`{"ref":"2","topic":"room:1","event":"phx_join","payload":{"x":"`+large+`"}}`,
		`{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"3"}`)
	const refused = `{"topic":"room:1","event":"phx_reply","payload":{"status":"error","response":{"reason":"too_large",`
	for _, ref := range []string{`null`, `"2"`} {
		if got := c.next(); !strings.HasPrefix(got, refused) || !strings.HasSuffix(got, `,"ref":`+ref+`}`) {
			t.Errorf("got %s, want the ref %s", got, ref)
		}
	}
	c.want(`{"topic":"phoenix","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"3"}`)
}

// TestBadMessagesAreCounted: bad messages count as events; beyond the rate the answer says so.
func TestBadMessagesAreCounted(t *testing.T) {
	s := start(t, socket.Options{
		FrameBytes: 64 << 10, Rates: ratelimit.NewSet(ratelimit.Limits{EventsPerSecond: 1}),
	}, hub.Limits{})
	c := s.dial("user=u")
	for range 30 {
		c.send(`["1","2","room:1","e","` + strings.Repeat("x", 70<<10) + `"]`)
		if strings.Contains(c.next(), `"rate_limited"`) {
			c.settled()
			return
		}
	}
	t.Error("30 messages are above no rate of 10 in the first second")
}

// TestFragmentsOfALargeMessage: the frames of one WebSocket message are counted together.
func TestFragmentsOfALargeMessage(t *testing.T) {
	s := start(t, socket.Options{FrameBytes: 64 << 10}, hub.Limits{})
	c := s.dial("user=u")
	w, err := c.conn.Writer(c.ctx, websocket.MessageText)
	if err != nil {
		t.Fatal(err)
	}
	parts := append([]string{`["1","2","room:1","e","`}, strings.Split(strings.Repeat("x,", 50<<10), ",")...)
	for _, part := range append(parts[:70:70], strings.Repeat("x", 80<<10), `"]`) {
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := c.next(); !strings.HasPrefix(got, `["1","2","room:1","phx_reply",{"status":"error","response":{"reason":"too_large"`) {
		t.Errorf("got %s", got)
	}
	c.settled()
}

// TestOneLargeLineOfABatch: in a batch, the lines around one that is too large are received, also beyond what is held of
// a body.
func TestOneLargeLineOfABatch(t *testing.T) {
	s := start(t, socket.Options{FrameBytes: 64 << 10}, hub.Limits{})
	p := transports["sse"](s).(*sseClient)
	p.send(`["1","1","room:1","phx_join",{}]`)
	expect(t, p, ok(`"1"`, `"1"`, "room:1"))
	lines := []string{`["1","2","room:1","echo",2]`, `["1","3","room:1","echo","` + strings.Repeat("x", 9<<20) + `"]`}
	for i := 4; i < 150; i++ {
		lines = append(lines, fmt.Sprintf(`["1","%d","room:1","echo",%d]`, i, i))
	}
	r := httptest.NewRequest("POST", "/sse?user=u&vsn=2.0.0", strings.NewReader(strings.Join(lines, "\n")))
	r.Header.Set("Content-Type", "application/x-ndjson")
	if err := s.Receive(r, p.down.Token()); err != nil {
		t.Fatal(err)
	}
	answers := map[string]bool{}
	for len(answers) < len(lines) {
		f := p.next()
		answers[f] = true
		if strings.Contains(f, `"3","room:1"`) != strings.Contains(f, `"too_large"`) {
			t.Fatalf("the answer is %s", f)
		}
	}
}
