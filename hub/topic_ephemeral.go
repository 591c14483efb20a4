package hub

import (
	"container/list"
	"time"

	"github.com/duckwire/duckwire/hub/log"
)

// ephemerals is a topic's table of events without history (cursors, typing): the newest of each sender and name, in the
// order of their last change. A reader holds the version up to which it has seen; one that lags gets the newest of
// each, a late joiner what is current. It is guarded by the topic's lock.
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

// put stores ev, whose id is given, as the newest of its sender and name. Beyond maxKeys the one that has not changed
// for longest makes room.
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

// has reports whether the newest event of a sender and name has this id.
func (t *ephemerals) has(sender, name, id string) bool {
	el := t.byKey[ephemeralKey{sender, name}]
	return el != nil && el.Value.(*ephemeral).id == id
}

// since appends what changed after the version, in the order of change.
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

// expire forgets what has not changed since the time.
func (t *ephemerals) expire(before time.Time) {
	for el := t.order.Front(); el != nil && el.Value.(*ephemeral).event.Time.Before(before); el = t.order.Front() {
		t.remove(el)
	}
}

func (t *ephemerals) remove(el *list.Element) {
	delete(t.byKey, el.Value.(*ephemeral).key)
	t.order.Remove(el)
}
