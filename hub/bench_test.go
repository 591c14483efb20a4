package hub_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// benchReaders is how many readers follow a log in the benchmarks.
const benchReaders = 1000

// BenchmarkPublish measures one event for 1,000 parked readers, until all have read it.
func BenchmarkPublish(b *testing.B) {
	h := hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler)})
	defer h.Close()
	crowd := newBenchCrowd()
	for range benchReaders {
		wake := log.NewWake()
		r, _, err := h.Subscribe("code:project:42", log.Position{Now: true}, wake)
		if err != nil {
			b.Fatal(err)
		}
		defer r.Close()
		crowd.add(r, wake)
	}
	payload := []byte(`{"n":12345678,"pad":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}`)
	event := []hub.EventInput{{Event: "tick", Payload: payload}}
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

// BenchmarkAppend measures one token that is appended to a stream with 1,000 readers.
func BenchmarkAppend(b *testing.B) {
	h := hub.New(hub.Options{
		Logger: slog.New(slog.DiscardHandler), Limits: hub.Limits{StreamBytes: 1 << 40, LogMemory: 1 << 40},
	})
	defer h.Close()
	s, _, err := h.CreateStream(hub.StreamSpec{Owner: "u", Kind: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	crowd := newBenchCrowd()
	for range benchReaders {
		wake := log.NewWake()
		r, _ := s.Watch(log.Position{Now: true}, wake)
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

// benchCrowd has readers that one goroutine drives, so that the log is measured and not the scheduler.
type benchCrowd struct {
	readers []interface {
		Read([]log.Item) ([]log.Item, *log.Reset)
	}
	wakes []*log.Wake
	items []log.Item
}

func newBenchCrowd() *benchCrowd { return &benchCrowd{items: make([]log.Item, 0, 8)} }

// add adds a reader, which must have nothing to read, and parks it.
func (c *benchCrowd) add(r interface {
	Read([]log.Item) ([]log.Item, *log.Reset)
}, w *log.Wake,
) {
	c.items, _ = r.Read(c.items[:0])
	c.readers, c.wakes = append(c.readers, r), append(c.wakes, w)
}

// readAll checks that every reader was signalled and reads exactly one item.
func (c *benchCrowd) readAll(b *testing.B) {
	for i, r := range c.readers {
		<-c.wakes[i].C
		if c.items, _ = r.Read(c.items[:0]); len(c.items) != 1 {
			b.Fatalf("reader %d got %d items", i, len(c.items))
		}
	}
}

// BenchmarkPresence measures one user who joins, and one who leaves, a topic with 1,000 users: without readers, so that
// only the work of the table counts, and with State for the new user.
func BenchmarkPresence(b *testing.B) {
	for _, state := range []bool{false, true} {
		b.Run(fmt.Sprintf("state=%v", state), func(b *testing.B) {
			h := hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler)})
			defer h.Close()
			for i := range benchReaders {
				if _, err := h.Track("code:project:42", fmt.Sprint("user-", i), "",
					[]byte(`{"name":"Ada Lovelace","file":"lib/a.ex"}`)); err != nil {
					b.Fatal(err)
				}
			}
			r, err := h.SubscribePresence("code:project:42", log.NewWake())
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			b.ReportAllocs()
			for b.Loop() {
				p, err := h.Track("code:project:42", "newcomer", "tab",
					[]byte(`{"name":"Grace Hopper","file":"lib/b.ex"}`))
				if err != nil {
					b.Fatal(err)
				}
				if state {
					r.State()
				}
				p.Leave()
			}
		})
	}
}

// BenchmarkPresenceDiff measures one change of one of 1,000 users, read by all of them.
func BenchmarkPresenceDiff(b *testing.B) {
	h := hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler)})
	defer h.Close()
	p, err := h.Track("code:project:42", "ada", "tab", nil)
	if err != nil {
		b.Fatal(err)
	}
	wakes, readers := make([]*log.Wake, benchReaders), make([]*hub.PresenceReader, benchReaders)
	for i := range readers {
		wakes[i] = log.NewWake()
		if readers[i], err = h.SubscribePresence("code:project:42", wakes[i]); err != nil {
			b.Fatal(err)
		}
		defer readers[i].Close()
		readers[i].State()
	}
	metas := []json.RawMessage{[]byte(`{"line":1}`), []byte(`{"line":2}`)}
	var items []log.Item
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if err := p.Update(metas[n&1]); err != nil {
			b.Fatal(err)
		}
		for i, r := range readers {
			<-wakes[i].C
			var lost bool
			if items, lost = r.Read(items[:0]); lost || len(items) != 1 {
				b.Fatal(len(items), lost)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchReaders, "ns/delivery")
}
