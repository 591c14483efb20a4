package handlers

import (
	"fmt"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// manyEvents answers GET /v1/events?topic=…&topic=…: several topics on one connection, with one id for all (protocol/sse.md 9.1).
func (s *server) manyEvents(w http.ResponseWriter, r *http.Request) error {
	topics := r.URL.Query()["topic"]
	if err := s.checkTopics(r, topics); err != nil {
		return err
	}
	if media := negotiate(r, mediaSSE); media == "" {
		return fmt.Errorf("this path speaks %s only: %w", mediaSSE, errAccept)
	}
	return s.followTopics(w, r, topics, true)
}

func (s *server) checkTopics(r *http.Request, topics []string) error {
	if len(topics) == 0 {
		return errs.Invalid("?topic", "must be given at least once")
	}
	if len(topics) > s.TopicsPerSession {
		return &errs.LimitError{Kind: errs.ErrTooLarge, Name: "?topic on one connection (topics_per_session)", Limit: int64(s.TopicsPerSession)}
	}
	id := middleware.IdentityFrom(r.Context())
	seen := make(map[string]bool, len(topics))
	for _, topic := range topics {
		if err := hub.ValidTopic(topic); err != nil {
			return err
		}
		if seen[topic] {
			return errs.Invalid("?topic", "names %q twice", clip(topic))
		}
		seen[topic] = true
		if err := s.Authorizer.Authorize(r.Context(), id, topic, rights.ActionSubscribe); err != nil {
			return err
		}
	}
	return nil
}

// followTopics sends what follows the client's position on each topic (nothing given: the tail), then live.
func (s *server) followTopics(w http.ResponseWriter, r *http.Request, topics []string, many bool) error {
	from, err := topicPositions(resumeFrom(r), len(topics), many)
	if err != nil {
		return err
	}
	opts, err := s.parseLive(r.URL.Query())
	if err != nil {
		return err
	}
	ask, err := s.parsePresence(r, topics)
	if err != nil {
		return err
	}
	if err := s.spend(r, ratelimit.Joins, len(topics)); err != nil {
		return err
	}
	pump, done, err := s.newPump(w, r, hub.ViaSSE, opts)
	if err != nil {
		return err
	}
	defer done()
	f := &topicFeed{many: many}
	defer f.close()
	var resets []byte
	user := middleware.IdentityFrom(r.Context()).User
	for i, topic := range topics {
		reader, reset, err := s.hub.Subscribe(topic, from[i], pump)
		if err != nil {
			return err
		}
		reader.ReadFor(user)
		f.readers = append(f.readers, reader)
		if reset != nil {
			resets = sse.AppendReset(resets, reset, topic)
		}
	}
	if ask != nil {
		if err := s.bePresent(&f.present, ask, topics, pump); err != nil {
			f.present.end(0)
			return err
		}
		defer f.present.end(s.PresenceGrace)
	}
	f.first = f.greeting(opts, resets)
	s.startLive(w, mediaSSE)
	s.finishPump(pump.run(r.Context(), f))
	return nil
}

// topicPositions reads the position of one topic, or of many.
func topicPositions(text string, n int, many bool) (log.Vector, error) {
	if text == "" {
		text = "now"
	}
	if many {
		return log.ParseVector(text, n)
	}
	p, err := log.ParsePosition(text)
	return log.Vector{p}, err
}

// topicFeed reads one or more topics as blocks whose data is the envelope.
type topicFeed struct {
	readers []*hub.TopicReader
	present presenceFeed
	many    bool
	first   []byte
	items   []log.Item
	at      log.Vector // for many: how far each topic was sent
}

func (f *topicFeed) close() {
	for _, r := range f.readers {
		r.Close()
	}
}

func (f *topicFeed) greeting(opts live, resets []byte) []byte {
	for _, r := range f.readers {
		f.at = append(f.at, r.Start())
	}
	var b []byte
	if opts.pad > 0 {
		b = sse.AppendPad(b, opts.pad)
	}
	position := f.at[0].String()
	if f.many {
		position = string(f.at.Append(nil))
	}
	// The id is what protocol/sse.md 3.3 leaves out: without it an EventSource that is cut before its first event would come back to
	// the tail, and what was published meanwhile would be lost without a word.
	hello := sse.Greeting{Position: position, Recovered: resets == nil, Now: time.Now(), Heartbeat: opts.hb, ID: position}
	return append(sse.AppendHello(b, &hello), resets...)
}

func (f *topicFeed) next(dst []byte) ([]byte, chunk, bool) {
	if f.first != nil {
		dst, f.first = append(dst, f.first...), nil
	}
	for i, r := range f.readers {
		var reset *log.Reset
		f.items, reset = r.Read(f.items[:0])
		if reset != nil {
			dst = sse.AppendReset(dst, reset, r.Topic())
		}
		f.at[i].Epoch = r.Epoch()
		if len(f.items) == 1 && !f.many && len(dst) == chunkRoom {
			if dst = f.present.append(dst); len(dst) == chunkRoom {
				return dst, topicBlock(&f.items[0], r), false
			}
		}
		for j := range f.items {
			if f.many {
				dst = f.appendMany(dst, i, &f.items[j])
			} else {
				dst = append(dst, topicBlock(&f.items[j], r).body()...)
			}
		}
	}
	return f.present.append(dst), nil, false
}

// topicBlock returns the block of one topic's event.
func topicBlock(item *log.Item, r *hub.TopicReader) chunk {
	return encodedBlock(item, blockName(item.Event), r.Epoch())
}

// encodedBlock returns the block of one event of a log, made once for all readers.
func encodedBlock(item *log.Item, name, epoch string) chunk {
	if b := item.Get(formatSSE); b != nil {
		return b
	}
	var id string
	if item.To > 0 {
		id = log.Position{Epoch: epoch, Offset: item.To}.String()
	}
	b := make([]byte, chunkRoom, chunkRoom+len(item.Event.Data)+len(name)+64)
	b = frameChunk(sse.AppendBlock(b, name, item.Event.Data, id))
	item.Put(formatSSE, b)
	return b
}

// appendMany appends the shared part of a block, and the id that only this reader has.
func (f *topicFeed) appendMany(dst []byte, topic int, item *log.Item) []byte {
	dst = append(dst, encodedHead(item)...)
	if item.To > 0 {
		f.at[topic].Offset = item.To
		dst = append(dst, "id: "...)
		dst = f.at.Append(dst)
		dst = append(dst, '\n')
	}
	return append(dst, '\n')
}

// encodedHead returns a topic event's block without its id and its end, made once for all readers.
func encodedHead(item *log.Item) []byte {
	head := item.Get(formatEnvelope)
	if head == nil {
		head = sse.AppendHead(nil, blockName(item.Event), item.Event.Data)
		item.Put(formatEnvelope, head)
	}
	return head
}

// blockName leaves out the names that mean something else on the wire: the envelope tells them.
func blockName(ev *log.Event) string {
	if sse.Reserved(ev.Name) {
		return ""
	}
	return ev.Name
}

func (f *topicFeed) heartbeat(dst []byte, now time.Time) []byte { return sse.AppendHeartbeat(dst, now) }

func (f *topicFeed) bye(dst []byte, reason string, retry time.Duration) []byte {
	return sse.AppendBye(dst, reason, retry)
}
