package live

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers/writers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
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

// deliveries is a topic with readers, each with the pump and the feed of a request.
type deliveries struct {
	hub   *hub.Hub
	pumps []*Pump
	feeds []*TopicFeed
	conns []*countingConn
}

const deliveryTopic = "code:project:42"

// newDeliveries returns n readers that have been sent hello. If direct is set, they write past net/http.
func newDeliveries(t testing.TB, n int, direct bool) *deliveries {
	t.Helper()
	d := &deliveries{hub: hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler)})}
	t.Cleanup(d.hub.Close)
	for range n {
		w := &discardWriter{}
		p := New(w, httptest.NewRequest("GET", "/", nil), d.hub, nil, Options{Heartbeat: time.Minute})
		p.now = time.Now()
		conn := &countingConn{}
		if direct {
			p.conn, p.begun = conn, true
		}
		r, _, err := d.hub.Subscribe(deliveryTopic, log.Position{Now: true}, p.wake)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		f := Topics(false)
		f.Add(r, nil)
		f.Greet(Options{Heartbeat: time.Second})
		p.feed = f
		d.pumps, d.feeds, d.conns = append(d.pumps, p), append(d.feeds, f), append(d.conns, conn)
	}
	d.deliver(t)
	return d
}

// publish appends one event.
func (d *deliveries) publish(t testing.TB) {
	tick := hub.EventInput{Event: "tick", Payload: []byte(`{"n":1}`)}
	if _, err := d.hub.Publish(deliveryTopic, "bench", []hub.EventInput{tick}); err != nil {
		t.Fatal(err)
	}
}

// deliver makes every pump write what its feed has, as after one wake-up.
func (d *deliveries) deliver(t testing.TB) {
	for _, p := range d.pumps {
		if _, err := p.flush(); err != nil {
			t.Fatal(err)
		}
	}
}

// discardWriter is a ResponseWriter that discards everything.
type discardWriter struct{ header http.Header }

func (w *discardWriter) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}
func (*discardWriter) WriteHeader(int)             {}
func (*discardWriter) Write(b []byte) (int, error) { return len(b), nil }
func (*discardWriter) FlushError() error           { return nil }

// TestDeliveryDoesNotAllocate checks that an event is encoded once: an additional reader costs no allocation, written
// directly or through net/http, for one event and for several. The publish itself allocates, so the allocations of a
// publish with one reader are subtracted.
func TestDeliveryDoesNotAllocate(t *testing.T) {
	const few, many, rounds = 1, 201, 100
	for name, direct := range map[string]bool{"direct": true, "through net/http": false} {
		for _, events := range []int{1, 3} {
			measure := func(readers int) float64 {
				d := newDeliveries(t, readers, direct)
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
				t.Errorf("%s, %d events at once: %.3f allocations for each reader", name, events, each)
			}
		}
	}
}

// TestOneWritePerFlush checks that everything a reader has to be sent goes out in one write, with the same bytes for
// all readers.
func TestOneWritePerFlush(t *testing.T) {
	d := newDeliveries(t, 3, true)
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

// panics is a feed that panics when a writer of the pool calls it after hello.
type panics struct {
	Feed
	greeted bool
}

func (f *panics) Next(dst []byte) ([]byte, Chunk, bool) {
	if strings.Contains(string(debug.Stack()), "writers.(*Pool)") {
		panic("in Next")
	}
	if !f.greeted {
		f.greeted = true
		dst = append(dst, "hello"...)
	}
	return dst, nil, false
}

// TestPanicInFeed: a panic of a feed in a writer of the pool is passed to the handler, with the writer's stack. The
// pool continues to work.
func TestPanicInFeed(t *testing.T) {
	h := hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler)})
	defer h.Close()
	var pool writers.Pool
	pumps, panicked := make(chan *Pump, 1), make(chan any, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { panicked <- recover() }()
		p := New(w, r, h, &pool, Options{Heartbeat: time.Minute})
		if p.pool == nil {
			t.Error("the connection cannot be written to without waiting: the test shows nothing")
		}
		pumps <- p
		_ = p.Run(r.Context(), &panics{})
	}))
	s.Config.ConnContext = KeepConn
	s.Start()
	defer s.Close()
	resp, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	p := <-pumps
	var with any
	hubtest.Until(t, "the handler to panic", func() bool {
		p.Signal() // until a writer of the pool takes the turn
		select {
		case with = <-panicked:
			return true
		default:
			return false
		}
	})
	if text := fmt.Sprint(with); !strings.Contains(text, "in Next") || !strings.Contains(text, "pump_test.go") {
		t.Errorf("the handler panicked with %s", text)
	}
	pool.Wait()
}

func TestFrameChunk(t *testing.T) {
	for _, n := range []int{0, 1, 9, 15, 16, 255, 256, 70000} {
		body := bytes.Repeat([]byte("\nx"), n)[:n]
		c := frameChunk(append(make([]byte, chunkRoom), body...))
		if !bytes.Equal(c.body(), body) {
			t.Errorf("%d bytes come back as %d", n, len(c.body()))
		}
		if n == 0 && len(c) != 0 {
			t.Error("an empty chunk would end the body")
		}
	}
}

// BenchmarkDelivery measures a delivery: reading the log, finding the shared bytes, and writing them.
func BenchmarkDelivery(b *testing.B) {
	for name, direct := range map[string]bool{"direct": true, "nethttp": false} {
		b.Run(name, func(b *testing.B) {
			const readers = 1000
			d := newDeliveries(b, readers, direct)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if n%readers == 0 {
					b.StopTimer()
					d.publish(b)
					b.StartTimer()
				}
				if _, err := d.pumps[n%readers].flush(); err != nil {
					b.Fatal(err)
				}
				n++
			}
		})
	}
}
