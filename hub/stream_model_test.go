package hub_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// pieces are texts as a model might write them: UTF-8 sequences of each length, characters that JSON and SSE escape,
// and long texts.
var pieces = []string{
	"a", "é", "€", "🦆", "\r", "\n", "\r\n", "\u2028", "\u2029", "\x00", "\\", `"`, "</script>",
	"data: x\n\n", strings.Repeat("long ", 3000),
}

// TestStreamReadersSeeExactlyWhatWasMade compares a stream with a model. Appends, reads, disconnections and resumptions
// happen in random order; each reader must get the stream's text, byte for byte, and each event once and in order.
func TestStreamReadersSeeExactlyWhatWasMade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := hub.New(hub.Options{})
		defer h.Close()
		s, _, err := h.CreateStream(hub.StreamSpec{Kind: "test", Owner: "u"})
		if err != nil {
			t.Fatal(err)
		}
		m := &streamModel{t: t, stream: s, clients: make([]streamClient, 3)}
		t.Repeat(map[string]func(*rapid.T){
			"text":   m.text,
			"event":  m.event,
			"read":   m.read,
			"cut":    m.cut,
			"byByte": m.byByte,
			"":       func(*rapid.T) {},
		})
		m.end()
	})
}

type streamModel struct {
	t       *rapid.T
	stream  *hub.Stream
	clients []streamClient
	made    strings.Builder
	events  []string
}

type streamClient struct {
	reader *log.Reader
	after  log.Position
	text   strings.Builder
	events []string
	ended  bool
}

func (m *streamModel) add(p hub.Part) {
	a, err := m.stream.Append(hub.ProducerRef{})
	if err != nil {
		m.t.Fatal(err)
	}
	if err := a.Add([]hub.Part{p}); err != nil {
		m.t.Fatal(err)
	}
	if _, err := a.End(nil); err != nil {
		m.t.Fatal(err)
	}
}

func (m *streamModel) text(t *rapid.T) {
	p := rapid.SampledFrom(pieces).Draw(t, "piece")
	m.made.WriteString(p)
	m.add(hub.Part{Text: p})
}

func (m *streamModel) event(t *rapid.T) {
	name := rapid.SampledFrom([]string{"one", "two"}).Draw(t, "name")
	m.events = append(m.events, name)
	m.add(hub.Part{Name: name, Data: []byte(`{}`)})
}

func (m *streamModel) read(t *rapid.T) { m.readOne(rapid.IntRange(0, 2).Draw(t, "client")) }

func (m *streamModel) readOne(i int) {
	c := &m.clients[i]
	if c.reader == nil {
		var reset *log.Reset
		c.reader, reset = m.stream.Watch(c.after, log.NewWake())
		if reset != nil {
			m.t.Fatalf("client %d, after %v: reset %v", i, c.after, reset)
		}
	}
	items, reset := c.reader.Read(nil)
	if reset != nil {
		m.t.Fatalf("client %d was reset: %v", i, reset)
	}
	for _, item := range items {
		if len(item.Text) > 0 && item.At != c.text.Len() {
			m.t.Fatalf("client %d has %d bytes and is given those at %d", i, c.text.Len(), item.At)
		}
		c.text.Write(item.Text)
		switch {
		case item.Event == nil:
		case item.Event.Kind == log.EndEvent:
			c.ended = true
		default:
			c.events = append(c.events, item.Event.Name)
		}
		c.after = log.Position{Epoch: m.stream.Epoch(), Offset: item.To}
	}
	if got, made := c.text.String(), m.made.String(); !strings.HasPrefix(made, got) {
		m.t.Fatalf("client %d has %q, which is no prefix of %q", i, got, made)
	}
}

func (m *streamModel) cut(t *rapid.T) {
	c := &m.clients[rapid.IntRange(0, 2).Draw(t, "client")]
	if c.reader != nil {
		c.reader.Close()
		c.reader = nil
	}
}

// byByte reads the rest of the text from a random byte on, as a Range request does.
func (m *streamModel) byByte(t *rapid.T) {
	made := m.made.String()
	at := rapid.IntRange(0, len(made)).Draw(t, "at")
	r, skip, ok := m.stream.WatchByte(at, log.NewWake())
	if !ok {
		t.Fatalf("byte %d of %d cannot be had", at, len(made))
	}
	defer r.Close()
	var got strings.Builder
	for {
		items, _ := r.Read(nil)
		if len(items) == 0 {
			break
		}
		for _, item := range items {
			n := min(skip, len(item.Text))
			skip -= n
			got.Write(item.Text[n:])
		}
	}
	if got.String() != made[at:] {
		t.Fatalf("from byte %d: got %q, want %q", at, got.String(), made[at:])
	}
}

// end closes the stream and lets every client read it to its end.
func (m *streamModel) end() {
	a, err := m.stream.Append(hub.ProducerRef{})
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := a.End(&hub.Ending{Status: hub.StatusDone}); err != nil {
		m.t.Fatal(err)
	}
	for i := range m.clients {
		c := &m.clients[i]
		for range 10_000 {
			if m.readOne(i); c.ended {
				break
			}
		}
		if !c.ended || c.text.String() != m.made.String() ||
			strings.Join(c.events, " ") != strings.Join(m.events, " ") {
			m.t.Fatalf("client %d ended=%v with %q and %v; want %q and %v", i, c.ended, c.text.String(), c.events,
				m.made.String(), m.events)
		}
		c.reader.Close()
	}
}
