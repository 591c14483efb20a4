package bench

import (
	"strconv"
	"sync/atomic"
	"time"
)

// sentRing is the number of a feed's newest events whose publishing times are known.
const sentRing = 1024

// feed is a topic or stream under load: events with the numbers 1, 2, 3 …, and the readers that must receive each
// once, in order.
type feed struct {
	read  string // path of the readers' GET
	topic string // topic that readers join on a WebSocket; "": they read over SSE
	write string // path to which events are posted
	parse func(block []byte, next uint64) (n uint64, err error)

	published atomic.Uint64 // the newest event's number
	sent      [sentRing]atomic.Int64
	readers   []*reader
}

// publish records the time at which events up to number n are published.
func (f *feed) publish(n uint64) {
	now := time.Now().UnixNano()
	for i := f.published.Load() + 1; i <= n; i++ {
		f.sent[i%sentRing].Store(now)
	}
	f.published.Store(n)
}

// slowest returns the number of the newest event that every reader has received.
func (f *feed) slowest() uint64 {
	least := f.published.Load()
	for _, r := range f.readers {
		least = min(least, r.got.Load())
	}
	return least
}

// tokenBytes is the length of one token of a stream: its number and a space.
const tokenBytes = 8

func appendToken(dst []byte, n uint64) []byte {
	digits := strconv.FormatUint(n, 10)
	for range tokenBytes - 1 - len(digits) {
		dst = append(dst, '0')
	}
	return append(append(dst, digits...), ' ')
}
