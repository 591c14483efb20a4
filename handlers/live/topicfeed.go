package live

import (
	"time"

	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// TopicFeed is one or more topics as blocks, whose data is each event's envelope. Create it with Topics, Add the
// topics, and Greet before Pump.Run.
type TopicFeed struct {
	readers []*hub.TopicReader
	Present PresenceFeed
	many    bool
	resets  []byte // sent with the greeting
	first   []byte // the greeting, until it has gone out
	items   []log.Item
	at      log.Vector // how far each topic was sent
}

// Topics returns a feed of topics. many says that each block's id is a vector of positions, one for each topic, even if
// there is only one topic.
func Topics(many bool) *TopicFeed { return &TopicFeed{many: many} }

// Add adds a topic, which Close closes. The reset, if there is one, is sent with the greeting.
func (f *TopicFeed) Add(r *hub.TopicReader, reset *log.Reset) {
	f.readers = append(f.readers, r)
	f.at = append(f.at, r.Start())
	if reset != nil {
		f.resets = sse.AppendReset(f.resets, reset, r.Topic())
	}
}

// Greet encodes the greeting. Call it after all topics were added.
func (f *TopicFeed) Greet(o Options) {
	position := f.at[0].String()
	if f.many {
		position = string(f.at.Append(nil))
	}
	// Hello has an id although no event precedes it. Without one, an EventSource that is cut before its first event would
	// reconnect at the tail, and miss the events that were published meanwhile without notice.
	hello := sse.Greeting{Position: position, Recovered: f.resets == nil, ID: position}
	f.first = append(greeting(MediaSSE, o, hello, nil), f.resets...)
	f.resets = nil
}

// Close closes the readers of the topics.
func (f *TopicFeed) Close() {
	for _, r := range f.readers {
		r.Close()
	}
}

func (f *TopicFeed) Next(dst []byte) ([]byte, Chunk, bool) {
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
func topicBlock(item *log.Item, r *hub.TopicReader) Chunk {
	return encodedBlock(item, blockName(item.Event), r.Epoch())
}

// encodedBlock returns the block of one event of a log, which readers share.
func encodedBlock(item *log.Item, name, epoch string) Chunk {
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

// appendMany appends a block: the part that readers share, and this reader's own id.
func (f *TopicFeed) appendMany(dst []byte, topic int, item *log.Item) []byte {
	dst = append(dst, encodedHead(item)...)
	if item.To > 0 {
		f.at[topic].Offset = item.To
		dst = append(dst, "id: "...)
		dst = f.at.Append(dst)
		dst = append(dst, '\n')
	}
	return append(dst, '\n')
}

// encodedHead returns the block of a topic's event without its id and its end, which readers share.
func encodedHead(item *log.Item) []byte {
	head := item.Get(formatEnvelope)
	if head == nil {
		head = sse.AppendHead(nil, blockName(item.Event), item.Event.Data)
		item.Put(formatEnvelope, head)
	}
	return head
}

// blockName returns the name of an event's block. It is empty if the event's name has another meaning in an event
// stream; the envelope contains the name.
func blockName(ev *log.Event) string {
	if sse.Reserved(ev.Name) {
		return ""
	}
	return ev.Name
}

func (f *TopicFeed) Heartbeat(dst []byte, now time.Time) []byte { return sse.AppendHeartbeat(dst, now) }

func (f *TopicFeed) Bye(dst []byte, reason string, retry time.Duration) []byte {
	return sse.AppendBye(dst, reason, retry)
}
