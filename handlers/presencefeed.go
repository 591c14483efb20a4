package handlers

import (
	"time"

	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
)

// presenceFeed is a subscriber's being present on the topics of its connection, and what it is told of the others. The zero value is neither.
type presenceFeed struct {
	own     []*hub.Presence
	readers []*hub.PresenceReader
	told    int // how many readers have given their state
	items   []hub.Item
}

// be has the feed end a presence with the connection.
func (f *presenceFeed) be(p *hub.Presence) { f.own = append(f.own, p) }

// follow has the feed tell of who is present on a topic.
func (f *presenceFeed) follow(r *hub.PresenceReader) { f.readers = append(f.readers, r) }

// end leaves the topics after the grace, for the connection may come back.
func (f *presenceFeed) end(grace time.Duration) {
	for _, p := range f.own {
		p.Drop(grace)
	}
	for _, r := range f.readers {
		r.Close()
	}
}

// append appends what there is: of each topic first who is there, then what changes, without ids. Who lags too much is told all anew.
func (f *presenceFeed) append(dst []byte) []byte {
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
