package live

import (
	"time"

	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// queueFeed is a user's queue as blocks without names, whose data is the message.
type queueFeed struct {
	reader *hub.QueueReader
	first  []byte
	items  []log.Item
}

// Queue returns the feed of a user's queue. The reset is what Hub.ReadQueue returned, or nil.
func Queue(reader *hub.QueueReader, o Options, reset *log.Reset) Feed {
	position := reader.Start().String()
	hello := sse.Greeting{Position: position, Recovered: reset == nil, ID: position}
	return &queueFeed{reader: reader, first: greeting(MediaSSE, o, hello, reset)}
}

func (f *queueFeed) Next(dst []byte) ([]byte, Chunk, bool) {
	var expired *hub.Expired
	f.items, expired = f.reader.Read(f.items[:0])
	if len(f.items) == 1 && f.first == nil && expired == nil {
		return dst, f.block(&f.items[0]), false
	}
	if f.first != nil {
		dst, f.first = append(dst, f.first...), nil
	}
	if expired != nil { // without an id, because a position does not imply that the client knows of it
		dst = sse.AppendBlock(dst, hub.ExpiredEvent, expired.AppendJSON(nil), "")
	}
	for i := range f.items {
		dst = append(dst, f.block(&f.items[i]).body()...)
	}
	return dst, nil, false
}

func (f *queueFeed) block(item *log.Item) Chunk {
	return encodedBlock(item, "", f.reader.Epoch())
}

func (f *queueFeed) Heartbeat(dst []byte, now time.Time) []byte { return sse.AppendHeartbeat(dst, now) }

func (f *queueFeed) Bye(dst []byte, reason string, retry time.Duration) []byte {
	return sse.AppendBye(dst, reason, retry)
}
