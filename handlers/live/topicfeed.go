package live

import (
	"time"

	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
)

// topicFeed reads one or more topics as blocks whose data is the envelope.
type topicFeed struct {
	readers []*hub.TopicReader
	Present PresenceFeed
	many    bool
	resets  []byte // that go out with the greeting
	first   []byte // the greeting, until it has gone out
	items   []hub.Item
	at      hub.Vector // for many: how far each topic was sent
}

func Topics(many bool) *topicFeed { return &topicFeed{many: many} }

// Add has the feed read a topic. The reset, if there is one, is told with the greeting.
func (f *topicFeed) Add(r *hub.TopicReader, reset *hub.Reset) {
	f.readers = append(f.readers, r)
	f.at = append(f.at, r.Start())
	if reset != nil {
		f.resets = sse.AppendReset(f.resets, reset, r.Topic())
	}
}

// Greet makes what goes out first, once all topics are there.
func (f *topicFeed) Greet(o Options) {
	position := f.at[0].String()
	if f.many {
		position = string(f.at.Append(nil))
	}
	// The id is what protocol/sse.md 3.3 leaves out: without it an EventSource that is cut before its first event would come back to
	// the tail, and what was published meanwhile would be lost without a word.
	hello := sse.Greeting{Position: position, Recovered: f.resets == nil, ID: position}
	f.first = append(appendGreeting(MediaSSE, o, hello, nil), f.resets...)
	f.resets = nil
}

// Close ends the reading.
func (f *topicFeed) Close() {
	for _, r := range f.readers {
		r.Close()
	}
}

func (f *topicFeed) Next(dst []byte) ([]byte, Chunk, bool) {
	if f.first != nil {
		dst, f.first = append(dst, f.first...), nil
	}
	for i, r := range f.readers {
		var reset *hub.Reset
		f.items, reset = r.Read(f.items[:0])
		if reset != nil {
			dst = sse.AppendReset(dst, reset, r.Topic())
		}
		f.at[i].Epoch = r.Epoch()
		if len(f.items) == 1 && !f.many && len(dst) == chunkRoom {
			if dst = f.Present.Append(dst); len(dst) == chunkRoom {
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
	return f.Present.Append(dst), nil, false
}

// topicBlock returns the block of one topic's event.
func topicBlock(item *hub.Item, r *hub.TopicReader) Chunk {
	return encodedBlock(item, blockName(item.Event), r.Epoch())
}

// encodedBlock returns the block of one event of a log, made once for all readers.
func encodedBlock(item *hub.Item, name, epoch string) Chunk {
	if b := item.Get(formatSSE); b != nil {
		return b
	}
	var id string
	if item.To > 0 {
		id = hub.Position{Epoch: epoch, Offset: item.To}.String()
	}
	b := make([]byte, chunkRoom, chunkRoom+len(item.Event.Data)+len(name)+64)
	b = frameChunk(sse.AppendBlock(b, name, item.Event.Data, id))
	item.Put(formatSSE, b)
	return b
}

// appendMany appends the shared part of a block, and the id that only this reader has.
func (f *topicFeed) appendMany(dst []byte, topic int, item *hub.Item) []byte {
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
func encodedHead(item *hub.Item) []byte {
	head := item.Get(formatEnvelope)
	if head == nil {
		head = sse.AppendHead(nil, blockName(item.Event), item.Event.Data)
		item.Put(formatEnvelope, head)
	}
	return head
}

// blockName leaves out the names that mean something else on the wire: the envelope tells them.
func blockName(ev *hub.Event) string {
	if sse.Reserved(ev.Name) {
		return ""
	}
	return ev.Name
}

func (f *topicFeed) Heartbeat(dst []byte, now time.Time) []byte { return sse.AppendHeartbeat(dst, now) }

func (f *topicFeed) Bye(dst []byte, reason string, retry time.Duration) []byte {
	return sse.AppendBye(dst, reason, retry)
}
