package crash_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/hub/eventstream"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

var cutFor = flag.Duration("cut", 8*time.Second, "how long TestCutOff cuts a node off from Redis, at least")

// lease is the nodes' lease in tests that wait until a node is considered dead. It allows the machine to stall for two
// seconds.
const lease = "DUCKWIRE_NODE_LEASE=5s"

// follower reads a topic over one connection during the whole test, and checks the numbers of its events.
type follower struct {
	numbers atomic.Int64 // events received: 0, 1, 2 …
	ended   chan struct{}
}

func follow(t *testing.T, ctx context.Context, c *client) *follower {
	t.Helper()
	resp, err := c.http.Do(c.request("GET", "/v1/topics/room/events", "", "Accept",
		"text/event-stream").WithContext(ctx))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(err, resp)
	}
	f := &follower{ended: make(chan struct{})}
	go func() {
		defer close(f.ended)
		defer resp.Body.Close()
		events := eventstream.NewReader(resp.Body, 0)
		for {
			ev, err := events.Next()
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("a reader lost its connection: %v", err)
				}
				return
			}
			var data struct{ Payload struct{ N *int64 } }
			_ = json.Unmarshal(ev.Data, &data)
			switch {
			case ev.Type == "reset":
				t.Errorf("a reader was told of a gap: %s", ev.Data)
			case data.Payload.N != nil && !f.numbers.CompareAndSwap(*data.Payload.N, *data.Payload.N+1):
				t.Errorf("a reader got number %d, expected %d", *data.Payload.N, f.numbers.Load())
			}
		}
	}()
	return f
}

// present reports whether ada is present according to a node.
func present(c *client) bool {
	_, answer := c.call("GET", "/v1/topics/code:project:room/presence", "", nil)
	return strings.Contains(answer, `"ada"`)
}

func degraded(s *server) bool {
	_, answer := s.client("ada").call("GET", "/readyz", "", nil)
	return strings.Contains(answer, "degraded")
}

// speaker publishes numbers on the topic.
type speaker struct {
	t *testing.T
	n int64 // how many
}

// say publishes the next number, and retries until it is accepted.
func (s *speaker) say(c *client) {
	n, t := s.n, s.t
	hubtest.Until(t, "an event to be taken", func() bool {
		status, answer := c.call("POST", "/v1/topics/room/events",
			fmt.Sprintf(`{"id":"%d","event":"number","payload":{"n":%d}}`, n, n), nil)
		if status != http.StatusOK && status != http.StatusCreated && status != http.StatusServiceUnavailable {
			t.Errorf("publishing: %d %s", status, answer)
		}
		return status < 300 && status > 0
	})
	s.n++
}

// chat publishes numbers at intervals, but never more than a topic's history of 1,000 events.
func (s *speaker) chat(c *client) {
	if s.n < 900 {
		s.say(c)
	}
	time.Sleep(max(10*time.Millisecond, *cutFor/900)) // so that they are spread over the whole cut
}

// join makes ada present, over a socket that must stay open until the test ends.
func join(t *testing.T, ctx context.Context, c *client) (left func()) {
	t.Helper()
	conn, _, err := websocket.Dial(ctx, "ws://"+c.s.addr+"/socket/websocket?vsn=2.0.0&token="+c.token, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Write(ctx, websocket.MessageText,
		[]byte(`["1","1","code:project:room","phx_join",{}]`)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				if ctx.Err() == nil {
					t.Errorf("a socket lost its connection: %v", err)
				}
				return
			}
		}
	}()
	go func() {
		for n := 2; ctx.Err() == nil; n++ { // an idle socket is closed
			_ = conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `[null,"%d","phoenix","heartbeat",{}]`, n))
			select {
			case <-time.After(10 * time.Second):
			case <-ctx.Done():
			}
		}
	}()
	return func() { <-ended }
}

// TestCutOff cuts one of two nodes off from Redis, without closing its connections, for longer than its lease. The node
// reports it and keeps its clients' connections; on the other node its users are absent. After the cut every client
// receives every event once and in order, over the same connections.
func TestCutOff(t *testing.T) {
	hubtest.Full(t, "redis-server")
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	l := newLine(t, "127.0.0.1:"+server.Port)
	a := newServer(t, "DUCKWIRE_REDIS_URL=redis://127.0.0.1:"+server.Port, lease)
	b := newServer(t, "DUCKWIRE_REDIS_URL=redis://"+l.addr, lease)
	a.start()
	b.start()
	ctx, cancel := context.WithCancel(t.Context())
	ca, cb := a.client("writer"), b.client("writer")
	here, there := follow(t, ctx, a.client("ada")), follow(t, ctx, b.client("ada"))
	left := join(t, ctx, b.client("ada"))
	hubtest.Until(t, "ada to be present", func() bool { return present(ca) })
	p := beginProducer(t, b, a)

	l.cut(true)
	began := time.Now()
	s := &speaker{t: t}
	hubtest.Until(t, "the node to say that it has no Redis", func() bool { s.chat(ca); return degraded(b) })
	if status, answer := cb.call("POST", "/v1/users/ada/messages", `{"event":"e","payload":{}}`,
		nil); status != http.StatusServiceUnavailable {
		t.Errorf("a message that cannot be kept: %d %s", status, answer)
	}
	hubtest.Until(t, "the people of the node to leave", func() bool { s.chat(ca); return !present(ca) })
	if !present(cb) {
		t.Error("the node has lost its own people")
	}
	for time.Since(began) < *cutFor {
		s.chat(ca)
	}

	l.cut(false)
	hubtest.Until(t, "the node to have its Redis", func() bool { return !degraded(b) })
	s.say(cb)
	hubtest.Until(t, "both readers to have everything", func() bool {
		return here.numbers.Load() == s.n && there.numbers.Load() == s.n || t.Failed()
	})
	hubtest.Until(t, "ada to be present again", func() bool { return present(ca) })
	p.finish()
	cancel()
	<-here.ended
	<-there.ended
	left()
	a.stop()
	b.stop()
	t.Logf("%d events, %d takings of the stream", s.n, p.trials[0].takings.Load())
}

// producing is a stream whose producer uses one node, with watchers on both nodes.
type producing struct {
	trials []*streamTrial // of each node; the first is the producer's
	work   sync.WaitGroup
}

func beginProducer(t *testing.T, nodes ...*server) *producing {
	t.Helper()
	if status, answer := nodes[0].client("owner").call("POST", "/v1/streams", `{"id":"s0"}`,
		nil); status != http.StatusCreated {
		t.Fatal(status, answer)
	}
	p := &producing{}
	for _, s := range nodes {
		tr := &streamTrial{t: t, s: s, moves: true}
		p.trials = append(p.trials, tr)
		p.work.Go(func() { tr.watch(0, rand.New(rand.NewPCG(1, 1))) })
	}
	p.work.Go(func() { p.trials[0].produce(0, rand.New(rand.NewPCG(2, 2))) })
	return p
}

// finish ends the stream, and waits until its watchers have received all of it.
func (p *producing) finish() {
	for _, tr := range p.trials {
		tr.over.Store(true)
	}
	p.work.Wait()
}
