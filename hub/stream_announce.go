package hub

import (
	"bytes"
	"strconv"
	"time"

	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// announceEvery is the pause between two announcements of a running stream: what is made meanwhile goes out as one
// event, so that a topic's history is not flooded by single tokens.
const announceEvery = 50 * time.Millisecond

// announce begins to copy what happens to s to its topic, unless that is being done: KIND_started, then KIND_chunk
// for text and structured entries under their own names, then KIND_done or KIND_error.
func (h *Hub) announce(s *Stream) {
	s.log.Lock()
	a := s.announcerLocked(log.Position{})
	s.log.Unlock()
	a.start(func() { a.started(log.Position{}) })
}

// announcer copies one stream to its topic, from its beginning, or from where it goes on, to its end. It is one
// more reader of the stream's log, and counts as no watcher.
//
// A stream has one announcer at a time (Stream.announced). Whoever brings news to a stream that has none starts
// one: who creates it; the producer that takes an interrupted one on, so that the topic is told that it goes on,
// and how it ends in truth; and who ends one that began in another life of this node or on another node.
type announcer struct {
	hub    *Hub
	stream *Stream
	kind   string
	reader *log.Reader
	wake   *log.Wake
}

// announcerLocked returns an announcer of what follows p, or nil where there is one, or no topic. s.log is locked.
func (s *Stream) announcerLocked(p log.Position) *announcer {
	if s.Topic == "" || s.announced {
		return nil
	}
	s.announced = true
	a := &announcer{hub: s.hub, stream: s, kind: s.Kind, reader: new(log.Reader), wake: log.NewWake()}
	if a.kind != "completion" && a.kind != "analysis" {
		a.kind = "stream"
	}
	s.log.Open(a.reader, p, a.wake, log.ReaderOptions{Silent: true})
	return a
}

// start runs an announcer, which may be nil, after opening.
func (a *announcer) start(opening func()) {
	if a == nil {
		return
	}
	running := a.hub.background.TryGo(func() {
		defer a.reader.Close()
		opening()
		a.run()
	})
	if !running {
		a.reader.Close()
	}
}

// started announces the beginning of the stream, or that it goes on after a position.
func (a *announcer) started(after log.Position) {
	p := a.open().str("kind", a.stream.Kind).str("owner", a.stream.Owner)
	if after.Offset > 0 {
		p = p.str("position", after.String()).raw("resumed", []byte("true"))
	}
	a.publish(a.kind+"_started", p)
}

func (a *announcer) run() {
	var items []log.Item
	for {
		items, _ = a.reader.Read(items[:0])
		if a.isElsewhere() {
			return
		}
		for i := range items {
			if a.item(&items[i]); isEnd(&items[i]) && a.isOver(items[i].To) {
				return
			}
		}
		if len(items) > 0 {
			wait := time.NewTimer(announceEvery)
			select {
			case <-wait.C:
			case <-a.hub.ctx.Done():
				wait.Stop()
			}
			continue
		}
		select {
		case <-a.wake.C:
		case <-a.hub.ctx.Done():
			return
		}
	}
}

// isElsewhere reports whether another node writes the stream now, which then announces it.
func (a *announcer) isElsewhere() bool {
	s := a.stream
	s.log.Lock()
	defer s.log.Unlock()
	if s.remote != nil {
		s.announced = false
	}
	return s.remote != nil
}

// isOver reports whether the end that was announced is the stream's. If not, a producer took the stream on
// meanwhile: the topic is told that it goes on.
func (a *announcer) isOver(end uint64) bool {
	s := a.stream
	s.log.Lock()
	over := s.status.Ended() && s.log.Tail() == end
	s.announced = !over
	at := s.log.Position(end)
	s.log.Unlock()
	if !over {
		a.started(at)
	}
	return over
}

func isEnd(item *log.Item) bool { return item.Event != nil && item.Event.Kind == log.EndEvent }

// item announces one item.
func (a *announcer) item(item *log.Item) {
	at := log.Position{Epoch: a.reader.Epoch(), Offset: item.To}
	switch {
	case item.Event == nil:
		a.chunks(item.Text, item.At, at.String())
	case item.Event.Kind == log.EndEvent:
		name := "_error"
		if bytes.HasPrefix(item.Event.Data, []byte(`{"status":"done"`)) {
			name = "_done"
		}
		a.publish(a.kind+name, a.open().str("position", at.String()).raw("result", item.Event.Data))
	case item.Event.Kind == log.ChunkEvent:
		p := a.open().raw("delta", item.Event.Data).num("at", item.At).str("position", at.String())
		a.publish(a.kind+"_delta", p)
	case item.Event.Kind == log.StreamEvent:
		a.publish(item.Event.Name, a.open().str("position", at.String()).raw("data", item.Event.Data))
	}
}

// publish puts an event on the stream's topic. One that is larger than a message may be is replaced by a notice:
// the stream itself has it.
func (a *announcer) publish(event string, p payload) {
	raw := append(p.b, '}')
	if len(raw) > a.hub.limits.MessageBytes {
		raw = append(a.open().num("omitted_bytes", len(raw)).b, '}')
	}
	if _, err := a.hub.topics.publish(a.stream.Topic, a.stream.Owner, []EventInput{{Event: event, Payload: raw}}); err != nil {
		a.hub.logger.Warn("a stream's announcement was refused",
			"stream", a.stream.ID, "topic", a.stream.Topic, "event", event, "error", err)
	}
}

// chunks announces text in pieces that fit in a message, cut between characters. The last one carries the position.
func (a *announcer) chunks(text []byte, at int, position string) {
	piece := a.hub.limits.MessageBytes / 8 // JSON may write one byte as six
	for len(text) > piece {
		n := wholeRunes(text[:piece])
		a.publish(a.kind+"_chunk", a.open().str("chunk", string(text[:n])).num("at", at))
		text, at = text[n:], at+n
	}
	a.publish(a.kind+"_chunk", a.open().str("chunk", string(text)).num("at", at).str("position", position))
}

// open begins a payload: the stream's id, also under the name that RubberDuck's clients look for, and the time.
func (a *announcer) open() payload {
	p := payload{b: make([]byte, 0, 256)}.str("stream", a.stream.ID)
	if a.kind != "stream" {
		p = p.str(a.kind+"_id", a.stream.ID)
	}
	return p.str("timestamp", time.Now().UTC().Format(TimeFormat))
}

// payload is a JSON object in the making.
type payload struct{ b []byte }

func (p payload) key(k string) payload {
	if len(p.b) == 0 {
		p.b = append(p.b, '{')
	} else {
		p.b = append(p.b, ',')
	}
	p.b = jsonw.AppendString(p.b, k)
	p.b = append(p.b, ':')
	return p
}

func (p payload) str(k, v string) payload {
	p = p.key(k)
	p.b = jsonw.AppendString(p.b, v)
	return p
}

func (p payload) num(k string, v int) payload {
	p = p.key(k)
	p.b = strconv.AppendInt(p.b, int64(v), 10)
	return p
}

func (p payload) raw(k string, v []byte) payload {
	p = p.key(k)
	p.b = append(p.b, v...)
	return p
}
