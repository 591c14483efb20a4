package hub_test

import (
	"log/slog"
	"testing"

	"github.com/duckwire/duckwire/hub"
)

// benchReaders is how many readers follow a log in the benchmarks.
const benchReaders = 1000

// BenchmarkPublish is one event to 1,000 readers that are parked: append, wake all, and all have read it.
func BenchmarkPublish(b *testing.B) {
	h := hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler)})
	defer h.Close()
	crowd := newBenchCrowd()
	for range benchReaders {
		wake := hub.NewWake()
		r, _, err := h.Subscribe("code:project:42", hub.Position{Now: true}, wake)
		if err != nil {
			b.Fatal(err)
		}
		defer r.Close()
		crowd.add(r, wake)
	}
	event := []hub.EventInput{{Event: "tick", Payload: []byte(`{"n":12345678,"pad":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}`)}}
	b.ReportAllocs()
	for b.Loop() {
		event[0].ID = ""
		if _, err := h.Publish("code:project:42", "bench", event); err != nil {
			b.Fatal(err)
		}
		crowd.readAll(b)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchReaders, "ns/delivery")
}

// BenchmarkAppend is one token appended to a stream that 1,000 readers watch.
func BenchmarkAppend(b *testing.B) {
	h := hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler), Limits: hub.Limits{StreamBytes: 1 << 40, LogMemory: 1 << 40}})
	defer h.Close()
	s, _, err := h.CreateStream(hub.StreamSpec{Owner: "u", Kind: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	crowd := newBenchCrowd()
	for range benchReaders {
		wake := hub.NewWake()
		r, _ := s.Watch(hub.Position{Now: true}, wake)
		defer r.Close()
		crowd.add(r, wake)
	}
	token := []hub.Part{{Text: "token "}}
	b.ReportAllocs()
	for b.Loop() {
		a, err := s.Append(hub.ProducerRef{})
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Add(token); err != nil {
			b.Fatal(err)
		}
		if _, err := a.End(nil); err != nil {
			b.Fatal(err)
		}
		crowd.readAll(b)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchReaders, "ns/delivery")
}

// benchCrowd is readers that one goroutine drives: what is measured is the log, not the scheduler.
type benchCrowd struct {
	readers []interface {
		Read([]hub.Item) ([]hub.Item, *hub.Reset)
	}
	wakes []*hub.Wake
	items []hub.Item
}

func newBenchCrowd() *benchCrowd { return &benchCrowd{items: make([]hub.Item, 0, 8)} }

// add takes a reader that has nothing to read, and parks it.
func (c *benchCrowd) add(r interface {
	Read([]hub.Item) ([]hub.Item, *hub.Reset)
}, w *hub.Wake,
) {
	c.items, _ = r.Read(c.items[:0])
	c.readers, c.wakes = append(c.readers, r), append(c.wakes, w)
}

// readAll has every reader woken, and given exactly one item.
func (c *benchCrowd) readAll(b *testing.B) {
	for i, r := range c.readers {
		<-c.wakes[i].C
		if c.items, _ = r.Read(c.items[:0]); len(c.items) != 1 {
			b.Fatalf("reader %d got %d items", i, len(c.items))
		}
	}
}
