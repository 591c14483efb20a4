package memory

import (
	"maps"
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// topicLog is a topic in a store.
type topicLog struct {
	epoch       string
	incarnation int            // of the store, in which the epoch began
	before      []log.Position // the earlier epochs, the latest first, and up to which offset the topic equals each
	base        uint64
	events      []loggedEvent
	ids         map[senderID]uint64
	ephemerals  []hub.SharedEvent
}

type loggedEvent struct {
	hub.SharedEvent
	at time.Time
}

// maxEarlierEpochs is how many earlier epochs are remembered.
const maxEarlierEpochs = 16

func newTopicLog(epoch string, incarnation int) topicLog {
	return topicLog{epoch: epoch, incarnation: incarnation, ids: make(map[senderID]uint64)}
}

// clone returns a copy that may be changed.
func (t topicLog) clone() topicLog {
	t.events, t.ids, t.ephemerals = slices.Clone(t.events), maps.Clone(t.ids), slices.Clone(t.ephemerals)
	return t
}

// beginEpoch begins a new epoch, since the store may have lost events, whose offsets would otherwise be used twice. Up
// to its tail the topic equals the previous epoch.
func (t *topicLog) beginEpoch(epoch string, incarnation int) {
	t.before = earlierEpochs(t.before, log.Position{Epoch: t.epoch, Offset: t.tail()})
	t.epoch, t.incarnation = epoch, incarnation
}

// earlierEpochs prepends the latest epoch, with its tail, to those before it.
func earlierEpochs(before []log.Position, latest log.Position) []log.Position {
	list := append([]log.Position{latest}, before...)
	for i := range list {
		list[i].Offset = min(list[i].Offset, latest.Offset)
	}
	return list[:min(len(list), maxEarlierEpochs)]
}

func (t *topicLog) tail() uint64 { return t.base + uint64(len(t.events)) }

// checkIDs returns a *hub.IDConflictError if an event's id is retained with another content.
func (t *topicLog) checkIDs(events []hub.SharedEvent) error {
	for i := range events {
		e := &events[i]
		if offset, exists := t.ids[senderID{e.Sender, e.ID}]; e.Named && exists &&
			t.events[offset-t.base-1].Digest != e.Digest {
			return &hub.IDConflictError{Index: i}
		}
	}
	return nil
}

// append adds events whose ids checkIDs has passed, and returns their positions and the batch for followers.
func (t *topicLog) append(events []hub.SharedEvent, limits hub.TopicLimits) ([]log.Position, hub.EventBatch) {
	now := time.Now()
	batch := hub.EventBatch{Epoch: t.epoch}
	positions := make([]log.Position, len(events))
	for i := range events {
		e := events[i]
		key := senderID{e.Sender, e.ID}
		switch offset, exists := t.ids[key]; {
		case e.Ephemeral:
			earlier := func(o hub.SharedEvent) bool { return o.Sender == e.Sender && o.Event == e.Event }
			t.ephemerals = append(slices.DeleteFunc(t.ephemerals, earlier), e)
			t.ephemerals = t.ephemerals[max(0, len(t.ephemerals)-limits.Ephemerals):]
		case e.Named && exists:
			positions[i] = log.Position{Epoch: t.epoch, Offset: offset}
			continue
		default:
			t.events = append(t.events, loggedEvent{e, now})
			positions[i] = log.Position{Epoch: t.epoch, Offset: t.tail()}
			if batch.First == 0 {
				batch.First = t.tail()
			}
			if e.Named {
				t.ids[key] = t.tail()
			}
		}
		batch.Events = append(batch.Events, e)
	}
	t.trim(limits, now)
	return positions, batch
}

// trim drops the oldest events until the topic is within its limits.
func (t *topicLog) trim(limits hub.TopicLimits, now time.Time) {
	size := t.bytes()
	for len(t.events) > 0 &&
		(len(t.events) > limits.Events || size > limits.Bytes || now.Sub(t.events[0].at) > limits.TTL) {
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

// page returns the events after an offset of an epoch.
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
