package memory

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// Topics is a hub.TopicStore in memory, for several hubs in one process. Make it with NewTopics. Safe for concurrent use.
type Topics struct {
	mu     sync.Mutex
	lives  int // epochs that were made
	topics map[string]*sharedTopic
}

type sharedTopic struct {
	epoch      string
	base       uint64
	events     []hub.SharedEvent
	ids        map[senderID]uint64
	ephemerals []hub.SharedEvent
	followers  []*topicFollower
}

type topicFollower struct {
	heard func(hub.EventBatch)
}

// NewTopics returns an empty store.
func NewTopics() *Topics { return &Topics{topics: make(map[string]*sharedTopic)} }

func (s *Topics) topic(name string) *sharedTopic {
	t := s.topics[name]
	if t == nil {
		s.lives++
		t = &sharedTopic{epoch: "m" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-" + strconv.Itoa(s.lives), ids: make(map[senderID]uint64)}
		s.topics[name] = t
	}
	return t
}

// AppendEvents implements hub.TopicStore.
func (s *Topics) AppendEvents(topic string, events []hub.SharedEvent, room hub.TopicRoom) ([]log.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(topic)
	batch := hub.EventBatch{Epoch: t.epoch}
	places := make([]log.Position, len(events))
	for i := range events {
		e := events[i]
		key := senderID{e.Sender, e.ID}
		switch offset, known := t.ids[key]; {
		case e.Ephemeral:
			t.ephemerals = append(slices.DeleteFunc(t.ephemerals, func(o hub.SharedEvent) bool { return o.Sender == e.Sender && o.Event == e.Event }), e)
			t.ephemerals = t.ephemerals[max(0, len(t.ephemerals)-room.Ephemerals):]
		case e.Named && known:
			places[i] = log.Position{Epoch: t.epoch, Offset: offset}
			continue
		default:
			t.events = append(t.events, e)
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
	t.trim(room)
	for _, f := range t.followers {
		f.heard(batch)
	}
	return places, nil
}

func (t *sharedTopic) tail() uint64 { return t.base + uint64(len(t.events)) }

func (t *sharedTopic) trim(room hub.TopicRoom) {
	for size := t.bytes(); len(t.events) > room.Events || size > room.Bytes && len(t.events) > 0; t.base++ {
		e := &t.events[0]
		size -= eventSize(e)
		delete(t.ids, senderID{e.Sender, e.ID})
		t.events = t.events[1:]
	}
}

func (t *sharedTopic) bytes() (n int64) {
	for i := range t.events {
		n += eventSize(&t.events[i])
	}
	return n
}

func eventSize(e *hub.SharedEvent) int64 { return int64(len(e.Payload) + len(e.Bytes)) }

// Events implements hub.TopicStore.
func (s *Topics) Events(topic, epoch string, after uint64) (hub.TopicPage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(topic)
	page := hub.TopicPage{Epoch: t.epoch, Base: t.base, Tail: t.tail()}
	if epoch != t.epoch || after < t.base || after > page.Tail {
		after = t.base
	}
	page.First = after + 1
	size := 0
	for at := after; at < page.Tail && size < hub.PageBytes; at++ {
		page.Events = append(page.Events, t.events[at-t.base])
		size += int(eventSize(&t.events[at-t.base]))
	}
	if epoch != t.epoch {
		page.Ephemerals = slices.Clone(t.ephemerals)
	}
	return page, nil
}

// FollowTopic implements hub.TopicStore.
func (s *Topics) FollowTopic(topic string, heard func(hub.EventBatch), gap func()) (stop func()) {
	f := &topicFollower{heard}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(topic)
	t.followers = append(t.followers, f)
	gap()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		t.followers = slices.DeleteFunc(t.followers, func(o *topicFollower) bool { return o == f })
	}
}
