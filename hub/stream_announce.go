package hub

import (
	"strconv"
	"time"

	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// announceEvery is the pause between two announcements of a running stream: what is made meanwhile goes out as one event, so that a
// topic's history is not flooded by single tokens.
const announceEvery = 50 * time.Millisecond

// announce copies what happens to s to its topic, until it ends: KIND_started, then KIND_chunk for text and structured entries under their
// own names, then KIND_done or KIND_error. The copier is one more reader of the stream's log; it does not count as a watcher.
func (h *Hub) announce(s *Stream) {
	if s.Topic == "" {
		return
	}
	wake := log.NewWake()
	r := s.WatchUncounted(log.Position{}, wake)
	h.background.Go(func() {
		defer r.Close()
		a := announcer{hub: h, stream: s, kind: s.Kind}
		if a.kind != "completion" && a.kind != "analysis" {
			a.kind = "stream"
		}
		a.run(r, wake)
	})
}

type announcer struct {
	hub    *Hub
	stream *Stream
	kind   string
}

func (a *announcer) run(r *log.Reader, wake *log.Wake) {
	a.publish(a.kind+"_started", a.open().str("kind", a.stream.Kind).str("owner", a.stream.Owner))
	var items []log.Item
	for {
		items, _ = r.Read(items[:0])
		for i := range items {
			if a.item(&items[i], r.Epoch()) {
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
		case <-wake.C:
		case <-a.hub.ctx.Done():
			return
		}
	}
}

// item announces one item, and reports whether it was the stream's end.
func (a *announcer) item(item *log.Item, epoch string) (end bool) {
	at := log.Position{Epoch: epoch, Offset: item.To}
	switch {
	case item.Event == nil:
		a.chunks(item.Text, item.At, at.String())
	case item.Event.Kind == log.EndEvent:
		name := "_done"
		if st := a.stream.Status(); st != StatusDone {
			name = "_error"
		}
		a.publish(a.kind+name, a.open().str("position", at.String()).raw("result", item.Event.Data))
		return true
	case item.Event.Kind == log.ChunkEvent:
		a.publish(a.kind+"_delta", a.open().raw("delta", item.Event.Data).num("at", item.At).str("position", at.String()))
	case item.Event.Kind == log.StreamEvent:
		a.publish(item.Event.Name, a.open().str("position", at.String()).raw("data", item.Event.Data))
	}
	return false
}

// publish puts an event on the stream's topic. One that is larger than a message may be is replaced by a notice: the stream itself has it.
func (a *announcer) publish(event string, p payload) {
	raw := append(p.b, '}')
	if len(raw) > a.hub.limits.MessageBytes {
		raw = append(a.open().num("omitted_bytes", len(raw)).b, '}')
	}
	if _, err := a.hub.append(a.stream.Topic, a.stream.Owner, []EventInput{{Event: event, Payload: raw}}); err != nil {
		a.hub.logger.Warn("a stream's announcement was refused", "stream", a.stream.ID, "topic", a.stream.Topic, "event", event, "error", err)
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
