package bench

import (
	"strconv"
	"sync/atomic"
	"time"
)

// sentRing is how many events of a feed may be under way with their times known.
const sentRing = 1024

// feed is one topic or stream under load: events numbered 1, 2, 3 …, and the readers that must get each once, in order.
type feed struct {
	read  string // path that readers get
	topic string // that readers join on a WebSocket; "": they read over SSE
	write string // path that events are posted to
	parse func(block []byte, next uint64) (n uint64, err error)

	published atomic.Uint64 // the newest event's number
	sent      [sentRing]atomic.Int64
	readers   []*reader
}

// publish notes that events up to number n are on their way.
func (f *feed) publish(n uint64) {
	now := time.Now().UnixNano()
	for i := f.published.Load() + 1; i <= n; i++ {
		f.sent[i%sentRing].Store(now)
	}
	f.published.Store(n)
}

// slowest returns the least that any reader has got.
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
