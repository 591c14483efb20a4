package live

import (
	"time"

	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// PresenceFeed has the presence of a subscriber on the topics of its connection, and the presences that it is sent of
// others. The zero value has neither.
type PresenceFeed struct {
	own     []*hub.Presence
	readers []*hub.PresenceReader
	told    int // number of readers whose first state was sent
	items   []log.Item
}

// Add adds a presence, which End ends.
func (f *PresenceFeed) Add(p *hub.Presence) { f.own = append(f.own, p) }

// Follow adds a topic whose presences are sent. End closes the reader.
func (f *PresenceFeed) Follow(r *hub.PresenceReader) { f.readers = append(f.readers, r) }

// End ends the presences after the grace period, in which the client may return.
func (f *PresenceFeed) End(grace time.Duration) {
	for _, p := range f.own {
		p.Drop(grace)
	}
	for _, r := range f.readers {
		r.Close()
	}
}

// Append appends what is new: for each topic first the state, then changes, all without ids. A reader that lags too far
// behind for single changes is sent the state again.
func (f *PresenceFeed) Append(dst []byte) []byte {
	for i, r := range f.readers {
		if i >= f.told {
			f.told++
			dst = appendState(dst, r)
		}
		var lost bool
		if f.items, lost = r.Read(f.items[:0]); lost {
			dst = appendState(dst, r)
		}
		for j := range f.items {
			dst = append(append(dst, encodedHead(&f.items[j])...), '\n')
		}
	}
	return dst
}

func appendState(dst []byte, r *hub.PresenceReader) []byte {
	ev := r.StateEvent()
	return sse.AppendBlock(dst, ev.Name, ev.Data, "")
}
