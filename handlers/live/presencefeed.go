package live

import (
	"time"

	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
)

// PresenceFeed is a subscriber's being present on the topics of its connection, and what it is told of the others. The zero value is neither.
type PresenceFeed struct {
	own     []*hub.Presence
	readers []*hub.PresenceReader
	told    int // how many readers have given their state
	items   []hub.Item
}

// Be has the feed end a presence with the connection.
func (f *PresenceFeed) Be(p *hub.Presence) { f.own = append(f.own, p) }

// Follow has the feed tell of who is present on a topic.
func (f *PresenceFeed) Follow(r *hub.PresenceReader) { f.readers = append(f.readers, r) }

// End leaves the topics after the grace, for the connection may come back.
func (f *PresenceFeed) End(grace time.Duration) {
	for _, p := range f.own {
		p.Drop(grace)
	}
	for _, r := range f.readers {
		r.Close()
	}
}

// Append appends what there is: of each topic first who is there, then what changes, without ids. Who lags too much is told all anew.
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
