package hub

import (
	"bytes"
	"strconv"
	"time"

	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// announceEvery is the pause between two announcements of a running stream. Text of that time becomes one event, so
// that single tokens do not push other events out of the topic's history.
const announceEvery = 50 * time.Millisecond

// announce starts an announcer of the whole stream, if it has a topic and no announcer yet.
func (s *Stream) announce() {
	s.log.Lock()
	a := s.announcerLocked(log.Position{})
	s.log.Unlock()
	a.start(func() { a.started(log.Position{}) })
}

// announcer publishes the entries of one stream as events of its topic: KIND_started, KIND_chunk for text, structured
// entries under their own names, and KIND_done or KIND_error. It is a reader of the stream's log that counts as no
// watcher.
//
// A stream has one announcer at a time (Stream.announced), on the node that owns it. It starts when the stream is
// created; when a producer resumes an interrupted stream; and when a stream ends that this node has loaded from the
// store or taken over from another node.
type announcer struct {
	hub    *Hub
	stream *Stream
	kind   string
	reader *log.Reader
	wake   *log.Wake
}

// announcerLocked returns a new announcer of the entries after p, or nil if the stream has an announcer or no topic.
// s.log is locked.
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

// start calls first, and then runs the announcer, in a goroutine. a may be nil: then it does nothing.
func (a *announcer) start(first func()) {
	if a == nil {
		return
	}
	running := a.hub.background.TryGo(func() {
		defer a.reader.Close()
		first()
		a.run()
	})
	if !running {
		a.reader.Close()
	}
}

// started announces that the stream begins, or that it resumes after a position.
func (a *announcer) started(after log.Position) {
	p := a.payload().str("kind", a.stream.Kind).str("owner", a.stream.Owner)
	if after.Offset > 0 {
		p = p.str("position", after.String()).raw("resumed", []byte("true"))
	}
	a.publish(a.kind+"_started", p)
}

func (a *announcer) run() {
	var items []log.Item
	for {
		items, _ = a.reader.Read(items[:0])
		if a.hasMoved() {
			return
		}
		for i := range items {
			if a.item(&items[i]); isEnd(&items[i]) && a.hasEnded(items[i].To) {
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

// hasMoved reports whether another node owns the stream now. That node announces the rest.
func (a *announcer) hasMoved() bool {
	s := a.stream
	s.log.Lock()
	defer s.log.Unlock()
	if s.remote != nil {
		s.announced = false
	}
	return s.remote != nil
}

// hasEnded reports whether the stream's last entry is still the end that was announced. If not, a producer has resumed
// the stream, and that is announced.
func (a *announcer) hasEnded(end uint64) bool {
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
		a.publish(a.kind+name, a.payload().str("position", at.String()).raw("result", item.Event.Data))
	case item.Event.Kind == log.ChunkEvent:
		p := a.payload().raw("delta", item.Event.Data).num("at", item.At).str("position", at.String())
		a.publish(a.kind+"_delta", p)
	case item.Event.Kind == log.StreamEvent:
		a.publish(item.Event.Name, a.payload().str("position", at.String()).raw("data", item.Event.Data))
	}
}

// publish publishes an event on the stream's topic. An event that exceeds Limits.MessageBytes is replaced by a notice
// without the data, which readers of the stream still get.
func (a *announcer) publish(event string, p payload) {
	raw := append(p.b, '}')
	if len(raw) > a.hub.limits.MessageBytes {
		raw = append(a.payload().num("omitted_bytes", len(raw)).b, '}')
	}
	if _, err := a.hub.topics.publish(a.stream.Topic, a.stream.Owner, []EventInput{{Event: event, Payload: raw}}); err != nil {
		a.hub.logger.Warn("a stream's announcement was refused",
			"stream", a.stream.ID, "topic", a.stream.Topic, "event", event, "error", err)
	}
}

// chunks announces text in pieces that fit into a message, cut between characters. The last one has the position.
func (a *announcer) chunks(text []byte, at int, position string) {
	piece := a.hub.limits.MessageBytes / 8 // JSON may escape one byte as six: \u0000
	for len(text) > piece {
		n := wholeRunes(text[:piece])
		a.publish(a.kind+"_chunk", a.payload().str("chunk", string(text[:n])).num("at", at))
		text, at = text[n:], at+n
	}
	a.publish(a.kind+"_chunk", a.payload().str("chunk", string(text)).num("at", at).str("position", position))
}

// payload begins a payload with the stream's id and the time. RubberDuck's clients expect the id under KIND_id.
func (a *announcer) payload() payload {
	p := payload{b: make([]byte, 0, 256)}.str("stream", a.stream.ID)
	if a.kind != "stream" {
		p = p.str(a.kind+"_id", a.stream.ID)
	}
	return p.str("timestamp", time.Now().UTC().Format(TimeFormat))
}

// payload builds a JSON object, member by member; the caller appends the closing brace.
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
