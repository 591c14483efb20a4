package hub

import (
	"container/list"
	"time"

	"github.com/duckwire/duckwire/hub/log"
)

// ephemerals are a topic's events without history (cursors, typing): the newest of each sender and name, in the order
// of their last change. A reader stores the version up to which it has read. So a slow reader skips to the newest
// events, and a new one gets those that are current. The topic's lock guards it.
type ephemerals struct {
	version uint64
	order   list.List // of *ephemeral, oldest change first
	byKey   map[ephemeralKey]*list.Element
}

type ephemeralKey struct{ sender, name string }

type ephemeral struct {
	key     ephemeralKey
	id      string // the event's
	version uint64
	event   *log.Event
}

// put stores ev, whose id is given, as the newest of its sender and name. If there are maxKeys others, it drops the one
// that has not changed for the longest time.
func (t *ephemerals) put(sender, id string, ev *log.Event, maxKeys int) {
	if t.byKey == nil {
		t.byKey = make(map[ephemeralKey]*list.Element)
	}
	t.version++
	e := &ephemeral{key: ephemeralKey{sender, ev.Name}, id: id, version: t.version, event: ev}
	if el := t.byKey[e.key]; el != nil {
		t.order.Remove(el)
	} else if t.order.Len() >= maxKeys {
		t.remove(t.order.Front())
	}
	t.byKey[e.key] = t.order.PushBack(e)
}

// has reports whether the newest event of a sender and name has this id and time. The id alone is not enough: a sender
// may give all its events the same one.
func (t *ephemerals) has(sender, name, id string, at time.Time) bool {
	el := t.byKey[ephemeralKey{sender, name}]
	if el == nil {
		return false
	}
	e := el.Value.(*ephemeral)
	return e.id == id && e.event.Time.Equal(at)
}

// since appends the events that changed after a version, in the order of their changes.
func (t *ephemerals) since(version uint64, dst []log.Item) []log.Item {
	el := t.order.Back()
	for el != nil && el.Value.(*ephemeral).version > version {
		el = el.Prev()
	}
	if el == nil {
		el = t.order.Front()
	} else {
		el = el.Next()
	}
	for ; el != nil; el = el.Next() {
		ev := el.Value.(*ephemeral).event
		dst = append(dst, log.Item{Event: ev, Encoding: &ev.Encoding})
	}
	return dst
}

// expire drops events that are older than a time.
func (t *ephemerals) expire(before time.Time) {
	for el := t.order.Front(); el != nil && el.Value.(*ephemeral).event.Time.Before(before); el = t.order.Front() {
		t.remove(el)
	}
}

func (t *ephemerals) remove(el *list.Element) {
	delete(t.byKey, el.Value.(*ephemeral).key)
	t.order.Remove(el)
}
