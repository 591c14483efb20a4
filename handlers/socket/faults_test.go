package socket_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
)

// slowHijack is a ResponseWriter that calls a function in the middle of the handshake.
type slowHijack struct {
	http.ResponseWriter
	meanwhile func()
}

func (w *slowHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.meanwhile()
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// TestHandshakeInProgress: closes and sweeps do not see sockets whose handshake is incomplete.
func TestHandshakeInProgress(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := start(t, socket.Options{IdleTimeout: 40 * time.Millisecond}, hub.Limits{})
		s.mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
			s.WebSocket(&slowHijack{w, func() {
				s.Disconnect("somebody else")
				time.Sleep(50 * time.Millisecond) // the sweeper runs meanwhile
			}}, r, refuse)
		})
		s.dialPath("/slow?vsn=2.0.0&user=u").settled()
		s.mux.HandleFunc("/disconnected", func(w http.ResponseWriter, r *http.Request) {
			s.WebSocket(&slowHijack{w, func() { s.Disconnect("u") }}, r, refuse)
		})
		s.dialPath("/disconnected?vsn=2.0.0&user=u").wantClose(1001)
		s.mux.HandleFunc("/drained", func(w http.ResponseWriter, r *http.Request) {
			s.WebSocket(&slowHijack{w, func() { s.Drain(context.Background()) }}, r, refuse)
		})
		s.dialPath("/drained?vsn=2.0.0&user=u").wantClose(1012)
	})
}

// slowRewriter lets the test block the goroutine that writes.
type slowRewriter struct {
	socket.Handler
	writing, goOn chan struct{}
}

func (r *slowRewriter) Rewrite(*log.Event) (socket.Outgoing, bool) {
	r.writing <- struct{}{}
	<-r.goOn
	return socket.Outgoing{}, true
}

// TestReplyPrecedesDataWhileWriting: the reply of a join that is decided during a write is sent before the join's data.
func TestReplyPrecedesDataWhileWriting(t *testing.T) {
	slow := &slowRewriter{writing: make(chan struct{}), goOn: make(chan struct{})}
	handled := make(chan struct{})
	s := start(t, socket.Options{Routes: []socket.Route{
		{Pattern: "slow", Kind: kind(func(_ context.Context, c *socket.Channel, _ json.RawMessage) (socket.Handler, error) {
			slow.Handler = echo(c)
			return slow, c.Subscribe("slow")
		})},
		{Pattern: "late", Kind: kind(func(_ context.Context, c *socket.Channel, _ json.RawMessage) (socket.Handler, error) {
			return handler(func(context.Context, *socket.Message) error {
				close(handled)
				return nil
			}), c.Subscribe("late")
		})},
	}}, hub.Limits{})
	s.publish("late", "old", `{}`)
	c := s.dial("user=u")
	c.send(`["1","1","slow","phx_join",{}]`)
	c.want(ok(`"1"`, `"1"`, "slow"))
	s.publish("slow", "e", `{}`)
	<-slow.writing
	c.send(`["2","2","late","phx_join",{"after":"0"}]`, `["2","3","late","x",{}]`)
	<-handled // then the join is decided
	slow.goOn <- struct{}{}
	c.want(`[null,null,"slow","e",{}]`)
	if reply := c.next(); !strings.HasPrefix(reply, `["2","2","late","phx_reply",{"status":"ok"`) {
		t.Errorf("before the reply to the join came %s", reply)
	}
	if data := c.next(); !strings.Contains(data, `"late","old",{}]`) {
		t.Errorf("after the reply to the join came %s", data)
	}
}

func (s *testServer) publish(topic, event, payload string) {
	s.t.Helper()
	input := []hub.EventInput{{Event: event, Payload: json.RawMessage(payload)}}
	if _, err := s.hub.Publish(topic, "publisher", input); err != nil {
		s.t.Fatal(err)
	}
}

// counter is an Options.Enter that counts connections.
type counter struct{ atomic.Int64 }

func (n *counter) enter(*http.Request, *rights.Identity, hub.Transport) (func(), error) {
	n.Add(1)
	return func() { n.Add(-1) }, nil
}

// falls waits until the count is at most n.
func (n *counter) falls(t *testing.T, left int64) {
	t.Helper()
	hubtest.Until(t, fmt.Sprintf("all sockets but %d to be gone", left), func() bool { return n.Load() <= left })
}

// flood writes the same bytes until the server accepts no more, or up to limit bytes, and returns how many it accepted.
// On the real clock of a busy machine it may give up early; it then proves less, but does not fail.
func flood(t *testing.T, c net.Conn, b []byte, limit int) (taken int) {
	t.Helper()
	for taken < limit {
		_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		n, err := c.Write(b)
		if taken += n; err != nil {
			return taken
		}
	}
	return taken
}

// TestFloodWithoutReading: the server stops reading from a client that sends without reading once its backlog is full,
// and disconnects it. The connections are real, because non-blocking writes are part of the test.
func TestFloodWithoutReading(t *testing.T) {
	for name, frame := range map[string][]byte{
		"heartbeats": wsFrame(finText, `[null,"1","phoenix","heartbeat",{}]`),
		"joins":      wsFrame(finText, `["1","1","room:1","phx_join",{}]`),
		"pushes":     wsFrame(finText, `["1","1","room:1","echo",{"x":"`+strings.Repeat("x", 1000)+`"}]`),
		"pings":      wsFrame(finPing, strings.Repeat("x", 125)),
	} {
		t.Run(name, func(t *testing.T) {
			var in counter
			s := start(t, socket.Options{Enter: in.enter, WriteTimeout: 1000 * time.Millisecond}, hub.Limits{})
			c := s.dialRaw("user=u")
			_, _ = c.Write(wsFrame(finText, `["1","1","room:1","phx_join",{}]`))
			for range 64 { // so that there is something else to be written
				s.publish("room:1", "big", `{"x":"`+strings.Repeat("x", 200<<10)+`"}`)
			}
			before := heap()
			many := []byte(strings.Repeat(string(frame), 1+64<<10/len(frame)))
			taken := flood(t, c, many, 256<<20)
			grown := int64(heap()) - int64(before)
			t.Logf("%d KiB taken, heap grown by %d KiB", taken>>10, grown>>10)
			if taken >= 64<<20 || grown > 24<<20 {
				t.Errorf("%d MiB were taken, the heap grew by %d MiB", taken>>20, grown>>20)
			}
			in.falls(t, 0)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestQueuedFramesCountWhole: messages that wait for a slow join count with their whole frame.
func TestQueuedFramesCountWhole(t *testing.T) {
	big := strings.Repeat("x", 500<<10)
	for name, frame := range map[string]string{
		"ref":     `["1","` + big + `","slow","e",{}]`,
		"joinRef": `["` + big + `","1","slow","e",{}]`,
		"sixth":   `["1","1","slow","e",{},"` + big + `"]`,
		"space":   `["1","1","slow","e",` + strings.Repeat(" ", 500<<10) + `{}]`,
	} {
		t.Run(name, func(t *testing.T) {
			hubtest.OwnClock(t, func(t *testing.T) {
				g := newGate()
				var in counter
				s := start(t, socket.Options{Enter: in.enter, Routes: []socket.Route{{Pattern: "slow", Kind: g}}}, hub.Limits{})
				c := s.dialRaw("user=u")
				_, _ = c.Write(wsFrame(finText, `["1","1","slow","phx_join",{}]`))
				<-g.entered
				if taken := flood(t, c, wsFrame(finText, frame), 100<<20); taken > 30<<20 {
					t.Errorf("%d MiB are queued behind one join", taken>>20)
				}
				s.Disconnect("u") // must also reach a socket that is not being read
				in.falls(t, 0)
			})
		})
	}
}

// TestReplacedPollConfirmsNothing: the answer to a poll that a newer poll replaced has the token of its request.
func TestReplacedPollConfirmsNothing(t *testing.T) {
	s := start(t, socket.Options{PollWindow: 5 * time.Second}, hub.Limits{})
	open := s.poll("GET", "user=u", "", "")
	old := make(chan answer)
	for range 20 {
		// Of two polls at the same time one is given the messages. If the other is what the client sees, nothing must
		// be lost.
		go func() { old <- s.poll("GET", "user=u", open.Token, "") }()
		go func() { old <- s.poll("GET", "user=u", open.Token, "") }()
		s.poll("POST", "user=u", open.Token, `[null,"1","phoenix","heartbeat",{}]`)
		a := s.poll("GET", "user=u", open.Token, "")
		for a.Status == 204 { // the other poll has replaced it
			a = s.poll("GET", "user=u", a.Token, "")
		}
		for range 2 {
			if b := <-old; len(b.Messages) == 0 && b.Status == 204 {
				c := s.poll("GET", "user=u", b.Token, "")
				if len(c.Messages) == 0 {
					t.Fatalf("%+v, and then %+v: a message is lost", b, c)
				}
			}
		}
		open.Token = a.Token
		if len(a.Messages) != 1 {
			t.Fatalf("%+v", a)
		}
	}
}

// TestPostFlood: many concurrent POSTs of one session do not each buffer a body, and none blocks forever.
func TestPostFlood(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		g := newGate()
		s := start(
			t, socket.Options{Routes: []socket.Route{{Pattern: "slow", Kind: g}}, PollLife: 3 * time.Second}, hub.Limits{},
		)
		open := s.poll("GET", "user=u", "", "")
		other := s.dial("user=other")
		s.poll("POST", "user=u", open.Token, `["1","1","slow","phx_join",{}]`)
		<-g.entered
		line := `["1","1","slow","e",{"x":"` + strings.Repeat("x", 1<<20) + `"}]` + "\n"
		body := strings.Repeat(line, 6)
		before := heap()
		answers := make(chan string, 60)
		for range cap(answers) {
			go func() {
				_, raw, err := s.tryPoll(context.Background(), "POST", "user=u", open.Token, body)
				answers <- fmt.Sprint(raw, err)
			}()
		}
		synctest.Wait() // until they have sent what the server accepts
		other.settled()
		grown := int64(heap()) - int64(before) - 60<<10
		t.Logf("the heap grew by %d KiB", grown>>10)
		if grown > 64<<20 {
			t.Errorf("the heap grew by %d MiB", grown>>20)
		}
		for range cap(answers) { // the session ends for lack of polls; until then a POST waits
			select {
			case a := <-answers:
				if !strings.HasPrefix(a, `{"status":`) && !strings.Contains(a, "reset") && !strings.Contains(a, "broken pipe") &&
					!strings.Contains(a, "EOF") {
					t.Error(a)
				}
			case <-time.After(hubtest.Hung):
				t.Fatal("it hangs: a POST is never answered")
			}
		}
	})
}

// TestShortWriteTimeout: a deadline that passed while nothing was written does not fail the next write.
func TestShortWriteTimeout(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := start(t, socket.Options{WriteTimeout: 100 * time.Millisecond}, hub.Limits{})
		c := s.dial("user=u")
		for range 8 {
			c.settled()
			time.Sleep(130 * time.Millisecond)
		}
	})
}

// TestTooLargeFrameGetsItsCode: a client that is still sending its oversized frame receives the close code.
func TestTooLargeFrameGetsItsCode(t *testing.T) {
	s := start(t, socket.Options{FrameBytes: 64 << 10}, hub.Limits{})
	for range 3 {
		c := s.dialRaw("user=u")
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = c.Write(wsFrame(finText, strings.Repeat("x", 8<<20)))
		}()
		first, payload, err := c.frame()
		if err != nil || first != 0x88 || len(payload) < 2 || int(payload[0])<<8|int(payload[1]) != 1009 {
			t.Fatalf("frame %x %q, %v; want close 1009", first, payload, err)
		}
		c.Close()
		<-done
	}
}

// TestRefsCompareByValue: a join_ref is the same however its text was escaped, and in a binary frame.
func TestRefsCompareByValue(t *testing.T) {
	s := start(t, socket.Options{}, hub.Limits{})
	c := s.dial("user=u")
	c.send(`["\u00e9/1","1","room:1","phx_join",{}]`, `["é\/1","2","room:1","echo",{}]`)
	c.want(ok(`"\u00e9/1"`, `"1"`, "room:1"), ok(`"\u00e9/1"`, `"2"`, "room:1"))
	c.sendBytes([]byte("\x00\x04\x01\x06\x05é/13room:1bytes"))
	c.want("0104" + "010602" + fmt.Sprintf("%x", "é/13room:1ok\x01\x02"))
	c.send(`["é/2","4","room:1","echo",{}]`, `[1,"5","room:1","echo",{}]`)
	c.settled()
}

// TestPushesToAClientThatDoesNotRead: a Kind that keeps pushing to a client that never reads does not fill the memory;
// the client is disconnected.
func TestPushesToAClientThatDoesNotRead(t *testing.T) {
	var in counter
	done := make(chan int)
	s := start(t, socket.Options{Enter: in.enter, Routes: []socket.Route{
		{Pattern: "pushy", Kind: kind(func(_ context.Context, c *socket.Channel, _ json.RawMessage) (socket.Handler, error) {
			return handler(func(ctx context.Context, m *socket.Message) error {
				payload := map[string]string{"x": strings.Repeat("x", 100<<10)}
				n := 0
				for ; n < 5000 && ctx.Err() == nil; n++ {
					c.Push("e", payload)
				}
				done <- n
				return nil
			}), nil
		})},
	}}, hub.Limits{})
	c := s.dialRaw("user=u")
	_, _ = c.Write(wsFrame(finText, `["1","1","pushy","phx_join",{}]`))
	_, _ = c.Write(wsFrame(finText, `["1","2","pushy","go",{}]`))
	if n := <-done; n == 5000 {
		t.Error("500 MB were queued for a client that reads nothing")
	}
	in.falls(t, 0)
}

// TestInvalidFrameBeforeAPartialOne: a client that is closed in the middle of a frame does not stay connected because
// the rest never arrives.
func TestInvalidFrameBeforeAPartialOne(t *testing.T) {
	for name, garbage := range map[string][]byte{
		"frame": wsFrame(finText, "garbage"), "utf8": wsFrame(finText, "\xff"), "large": wsFrame(finText, strings.Repeat("x", 600<<10)),
	} {
		t.Run(name, func(t *testing.T) {
			hubtest.OwnClock(t, func(t *testing.T) {
				var in counter
				s := start(t, socket.Options{Enter: in.enter, FrameBytes: 64 << 10}, hub.Limits{})
				c := s.dialRaw("user=u")
				_, _ = c.Write(append(garbage, wsFrame(finText, strings.Repeat("x", 1000))[:500]...))
				in.falls(t, 0)
			})
		})
	}
}
