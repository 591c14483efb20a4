package memory

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// Topics is a hub.TopicStore in memory, for several hubs in one process. It is created by NewTopics, and is
// safe for concurrent use.
type Topics struct {
	mu     sync.Mutex
	epochs int // number of epochs so far
	topics map[string]*followedTopic
}

type followedTopic struct {
	topicLog
	followers []*topicFollower
}

type topicFollower struct {
	heard func(hub.EventBatch)
}

// NewTopics returns an empty store.
func NewTopics() *Topics { return &Topics{topics: make(map[string]*followedTopic)} }

func (s *Topics) topic(name string) *followedTopic {
	t := s.topics[name]
	if t == nil {
		s.epochs++
		epoch := "m" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-" + strconv.Itoa(s.epochs)
		t = &followedTopic{topicLog: newTopicLog(epoch, 0)}
		s.topics[name] = t
	}
	return t
}

// AppendEvents implements hub.TopicStore.
func (s *Topics) AppendEvents(topic string, events []hub.SharedEvent, limits hub.TopicLimits) ([]log.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(topic)
	if err := t.checkIDs(events); err != nil {
		return nil, err
	}
	places, batch := t.append(events, limits)
	for _, f := range t.followers {
		f.heard(batch)
	}
	return places, nil
}

// CheckIDs implements hub.TopicStore.
func (s *Topics) CheckIDs(topic string, events []hub.SharedEvent) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.topic(topic).checkIDs(events)
}

// Events implements hub.TopicStore.
func (s *Topics) Events(topic, epoch string, after uint64) (hub.TopicPage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.topic(topic).page(epoch, after), nil
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
