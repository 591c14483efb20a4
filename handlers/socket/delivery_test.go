package socket

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/rights"
)

// countingConn is a connection that accepts everything and counts the bytes.
type countingConn struct {
	net.Conn
	bytes, writes int
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.bytes += len(b)
	c.writes++
	return len(b), nil
}

func (c *countingConn) SetWriteDeadline(time.Time) error { return nil }

// heard is a kind of channel that only receives.
type heard struct{}

func (heard) Join(_ context.Context, c *Channel, _ json.RawMessage) (Handler, error) {
	return nil, c.Subscribe(c.Topic())
}

const deliveryTopic = "code:project:42"

// deliveries is a topic with WebSockets on it, whose writers run when the test says so.
type deliveries struct {
	hub     *hub.Hub
	sockets []*webSocket
	conns   []*countingConn
}

func newDeliveries(t testing.TB, n int) *deliveries {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	h := hub.New(hub.Options{Logger: logger})
	s := NewServer(
		Options{
			Hub: h, Logger: logger, Routes: []Route{{Pattern: "*", Kind: heard{}}},
			Identify: func(*http.Request, string) (*rights.Identity, error) { return nil, nil },
		},
	)
	t.Cleanup(func() { s.Close(); h.Close() })
	d := &deliveries{hub: h}
	for range n {
		c := &countingConn{}
		w := &webSocket{server: s, net: newConn(c, time.Minute)}
		w.turn.Take() // the test is the writer
		w.socket = s.newSocket(&handshake{identity: &rights.Identity{User: "u"}, version: phoenix.V2}, w, hub.ViaWebSocket)
		w.socket.binary = true
		if err := w.socket.Receive(t.Context(), []byte(`["1","1","`+deliveryTopic+`","phx_join",{}]`), false, true); err != nil {
			t.Fatal(err)
		}
		d.sockets, d.conns = append(d.sockets, w), append(d.conns, c)
	}
	for _, w := range d.sockets {
		hubtest.Until(t, "the answer to the join", func() bool {
			w.flushOnce(t)
			return w.net.Conn.(*countingConn).bytes > 0
		})
	}
	return d
}

// flushOnce does what the writer does, until there is nothing more.
func (t *webSocket) flushOnce(tb testing.TB) {
	p := borrowPull()
	defer p.giveBack()
	for more := true; more; {
		var b []byte
		b, more = t.socket.group(p)
		if err := t.net.send(b); err != nil {
			tb.Fatal(err)
		}
	}
}

func (d *deliveries) publish(t testing.TB) {
	tick := []hub.EventInput{{Event: "tick", Payload: []byte(`{"n":1}`)}}
	if _, err := d.hub.Publish(deliveryTopic, "bench", tick); err != nil {
		t.Fatal(err)
	}
}

func (d *deliveries) deliver(t testing.TB) {
	for _, w := range d.sockets {
		w.flushOnce(t)
	}
}

// TestDeliveryDoesNotAllocate checks that an event is encoded once: an additional socket costs no allocation, for one
// event and for several. The publish itself allocates, so the allocations of a publish with one socket are subtracted.
func TestDeliveryDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("with the race detector, pools allocate on purpose")
	}
	const few, many, rounds = 1, 201, 100
	for _, events := range []int{1, 3} {
		measure := func(sockets int) float64 {
			d := newDeliveries(t, sockets)
			return testing.AllocsPerRun(rounds, func() {
				for range events {
					d.publish(t)
				}
				d.deliver(t)
			})
		}
		measure(many) // buffers grow to their final size
		each := (measure(many) - measure(few)) / (many - few)
		if each > 0.01 { // the garbage collector causes some allocations
			t.Errorf("%d events at once: %.3f allocations for each socket", events, each)
		}
	}
}

// TestOneWritePerFlush checks that everything a socket has to send goes out in one write.
func TestOneWritePerFlush(t *testing.T) {
	d := newDeliveries(t, 3)
	for _, events := range []int{1, 5, 100} {
		before := make([]countingConn, len(d.conns))
		for i, c := range d.conns {
			before[i] = *c
		}
		for range events {
			d.publish(t)
		}
		d.deliver(t)
		for i, c := range d.conns {
			if c.writes-before[i].writes != 1 || c.bytes-before[i].bytes != d.conns[0].bytes-before[0].bytes {
				t.Errorf("%d events: %d writes, %d bytes", events, c.writes-before[i].writes, c.bytes-before[i].bytes)
			}
		}
	}
}

// BenchmarkDelivery measures a delivery without the system call: a publish to 1,000 sockets, and the work of their
// writers.
func BenchmarkDelivery(b *testing.B) {
	d := newDeliveries(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		d.publish(b)
		d.deliver(b)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/delivery")
}
