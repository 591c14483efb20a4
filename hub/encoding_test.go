package hub_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// encoder is a reader that does what every wire format does: it uses the cached bytes, or encodes and caches them.
type encoder struct {
	seen map[*log.Encoding]bool
	made int
}

func (e *encoder) encode(items []log.Item, f log.Format) {
	for i := range items {
		if items[i].Get(f) == nil {
			items[i].Put(f, make([]byte, 100+len(items[i].Text)))
			e.made++
		}
		e.seen[items[i].Encoding] = true
	}
}

// kept returns how many bytes all encodings that were ever returned have cached.
func (e *encoder) kept() (bytes int64) {
	for enc := range e.seen {
		for f := range log.Format(log.MaxFormats) {
			bytes += int64(len(enc.Get(f)))
		}
	}
	return bytes
}

// readAll reads a log from its beginning to its end.
func readAll(read func(dst []log.Item) ([]log.Item, *log.Reset)) (items []log.Item) {
	for {
		had := len(items)
		if items, _ = read(items); len(items) == had {
			return items
		}
	}
}

func publishSome(t *testing.T, h *hub.Hub, topic string, n int) {
	t.Helper()
	for range n {
		e := hub.EventInput{Event: "e", Payload: json.RawMessage(`"` + strings.Repeat("x", 500) + `"`)}
		if _, err := h.Publish(topic, "u", []hub.EventInput{e}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLateReadersLeaveNothing checks that late readers cache nothing, and that the cached bytes of the newest entries
// count in LogBytes and are freed when the entries are no longer the newest.
func TestLateReadersLeaveNothing(t *testing.T) {
	h := hub.New(hub.Options{})
	defer h.Close()
	publishSome(t, h, "t", 900)
	bare := h.LogBytes()
	r, _, err := h.Subscribe("t", log.Position{}, log.NewWake())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	late := encoder{seen: make(map[*log.Encoding]bool)}
	items := readAll(r.Read)
	for f := range log.Format(log.MaxFormats) {
		late.encode(items, f)
	}
	counted := h.LogBytes() - bare
	if len(items) != 900 || late.made != 900*log.MaxFormats {
		t.Fatalf("%d items, %d encoded", len(items), late.made)
	}
	if most := int64(64 * log.MaxFormats * 100); counted == 0 || counted > most || counted != late.kept() {
		t.Errorf("%d bytes are kept, %d counted; want the same, and at most %d", late.kept(), counted, most)
	}
	publishSome(t, h, "t", 100)
	late.encode(items, 0) // of items that it was given while they were new
	if late.kept() != 0 {
		t.Errorf("%d bytes are kept of entries that are not the newest any more", late.kept())
	}
}

// TestEncodingsGoFirst checks that encodings are evicted before anything that a client could miss.
func TestEncodingsGoFirst(t *testing.T) {
	h := hub.New(hub.Options{Limits: hub.Limits{LogMemory: 1 << 20}})
	defer h.Close()
	publishSome(t, h, "t", 60)
	bare := h.LogBytes()
	r, _, err := h.Subscribe("t", log.Position{}, log.NewWake())
	if err != nil {
		t.Fatal(err)
	}
	items := readAll(r.Read)
	r.Close() // so that the topic could be evicted
	for i := range items {
		for f := range log.Format(log.MaxFormats) {
			items[i].Put(f, make([]byte, 4<<10))
		}
	}
	if h.LogBytes() <= 1<<20 {
		t.Fatalf("only %d bytes are counted", h.LogBytes())
	}
	publishSome(t, h, "t", 1)
	if got := h.LogBytes(); got > 2*bare {
		t.Errorf("%d bytes are counted after more than LogMemory, of which %d are the topic's", got, bare)
	}
	r, _, err = h.Subscribe("t", log.Position{}, log.NewWake())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n := len(readAll(r.Read)); n != 61 {
		t.Errorf("%d events are left of 61", n)
	}
}

// TestEncodingsAreCounted tests random histories of a topic and a stream. After each step, LogBytes must exceed that of
// a hub with the same history but without readers by exactly the cached bytes.
func TestEncodingsAreCounted(t *testing.T) {
	for range 30 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { walkEncodings(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func walkEncodings(t *testing.T, rnd *rand.Rand) {
	o := hub.Options{Limits: hub.Limits{HistoryEvents: 100}}
	var hubs [2]*hub.Hub // with readers, and without
	var streams [2]*hub.Stream
	for i := range hubs {
		hubs[i] = hub.New(o)
		defer hubs[i].Close()
		var err error
		streams[i], _, err = hubs[i].CreateStream(hub.StreamSpec{Kind: "k", Owner: "u", ContentType: "text/plain"})
		if err != nil {
			t.Fatal(err)
		}
	}
	all := encoder{seen: make(map[*log.Encoding]bool)}
	var items []log.Item // that somebody was given, some of them long ago
	for step := range 200 {
		switch n := rnd.IntN(40) + 1; rnd.IntN(5) {
		case 0, 1:
			for _, h := range hubs {
				publishSome(t, h, "t", n)
			}
		case 2:
			for _, s := range streams {
				a, err := s.Append(hub.ProducerRef{})
				if err != nil {
					t.Fatal(err)
				}
				parts := []hub.Part{{Text: strings.Repeat("y", n)}, {Name: "e", Data: []byte(`{}`)}, {Text: "z"}}
				if err := a.Add(parts); err != nil {
					t.Fatal(err)
				}
				a.Abort()
			}
		case 3:
			r, _, err := hubs[0].Subscribe("t", log.Position{}, log.NewWake())
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, readAll(r.Read)...)
			r.Close()
			w := streams[0].WatchUncounted(log.Position{}, log.NewWake())
			items = append(items, readAll(w.Read)...)
			w.Close()
		case 4:
			if len(items) > 0 {
				first := rnd.IntN(len(items))
				all.encode(items[first:min(first+n, len(items))], log.Format(rnd.IntN(log.MaxFormats)))
			}
		}
		if got, want := hubs[0].LogBytes()-hubs[1].LogBytes(), all.kept(); got != want {
			t.Fatalf("step %d: %d bytes of encodings are counted, %d are kept", step, got, want)
		}
	}
}
