package memory

import (
	"maps"
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// topicLog is a topic as a store has it.
type topicLog struct {
	epoch      string
	life       int            // of the data, in which the epoch began
	before     []log.Position // the epochs before, the latest first, and up to where each is the same
	base       uint64
	events     []loggedEvent
	ids        map[senderID]uint64
	ephemerals []hub.SharedEvent
}

type loggedEvent struct {
	hub.SharedEvent
	at time.Time
}

// livesKept is of how many earlier epochs it is known how far they are the same.
const livesKept = 16

func newTopicLog(epoch string, life int) topicLog {
	return topicLog{epoch: epoch, life: life, ids: make(map[senderID]uint64)}
}

// clone returns a copy that can be changed.
func (t topicLog) clone() topicLog {
	t.events, t.ids, t.ephemerals = slices.Clone(t.events), maps.Clone(t.ids), slices.Clone(t.ephemerals)
	return t
}

// begin begins a new epoch: the data may have gone back, so that offsets would be given twice. Up to its tail it is the
// same as the one before.
func (t *topicLog) begin(epoch string, life int) {
	t.before = livesBefore(t.before, log.Position{Epoch: t.epoch, Offset: t.tail()})
	t.epoch, t.life = epoch, life
}

// livesBefore puts the latest epoch, and up to where it went, in front of those before it.
func livesBefore(before []log.Position, latest log.Position) []log.Position {
	lives := append([]log.Position{latest}, before...)
	for i := range lives {
		lives[i].Offset = min(lives[i].Offset, latest.Offset)
	}
	return lives[:min(len(lives), livesKept)]
}

func (t *topicLog) tail() uint64 { return t.base + uint64(len(t.events)) }

// append adds events, and returns their places and what followers are told.
func (t *topicLog) append(events []hub.SharedEvent, room hub.TopicLimits) ([]log.Position, hub.EventBatch) {
	now := time.Now()
	batch := hub.EventBatch{Epoch: t.epoch}
	places := make([]log.Position, len(events))
	for i := range events {
		e := events[i]
		key := senderID{e.Sender, e.ID}
		switch offset, known := t.ids[key]; {
		case e.Ephemeral:
			earlier := func(o hub.SharedEvent) bool { return o.Sender == e.Sender && o.Event == e.Event }
			t.ephemerals = append(slices.DeleteFunc(t.ephemerals, earlier), e)
			t.ephemerals = t.ephemerals[max(0, len(t.ephemerals)-room.Ephemerals):]
		case e.Named && known:
			places[i] = log.Position{Epoch: t.epoch, Offset: offset}
			continue
		default:
			t.events = append(t.events, loggedEvent{e, now})
			places[i] = log.Position{Epoch: t.epoch, Offset: t.tail()}
			if batch.First == 0 {
				batch.First = t.tail()
			}
			if e.Named {
				t.ids[key] = t.tail()
			}
		}
		batch.Events = append(batch.Events, e)
	}
	t.trim(room, now)
	return places, batch
}

// trim drops the oldest, which make room, and those whose time is over.
func (t *topicLog) trim(room hub.TopicLimits, now time.Time) {
	size := t.bytes()
	for len(t.events) > 0 && (len(t.events) > room.Events || size > room.Bytes || now.Sub(t.events[0].at) > room.TTL) {
		e := &t.events[0].SharedEvent
		size -= eventSize(e)
		if e.Named {
			delete(t.ids, senderID{e.Sender, e.ID})
		}
		t.events = t.events[1:]
		t.base++
	}
}

func (t *topicLog) bytes() (n int64) {
	for i := range t.events {
		n += eventSize(&t.events[i].SharedEvent)
	}
	return n
}

func eventSize(e *hub.SharedEvent) int64 { return int64(len(e.Payload) + len(e.Bytes)) }

// page returns what is kept behind an offset of an epoch.
func (t *topicLog) page(epoch string, after uint64) hub.TopicPage {
	page := hub.TopicPage{Epoch: t.epoch, Before: t.before, Base: t.base, Tail: t.tail()}
	if epoch != t.epoch || after < t.base || after > page.Tail {
		after = t.base
	}
	page.First = after + 1
	size := 0
	at := after
	for ; at < page.Tail && size < hub.PageBytes; at++ {
		e := t.events[at-t.base].SharedEvent
		page.Events = append(page.Events, e)
		size += int(eventSize(&e))
	}
	if at == page.Tail {
		page.Ephemerals = slices.Clone(t.ephemerals)
	}
	return page
}
