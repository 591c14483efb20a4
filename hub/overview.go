package hub

import "time"

// TopicSummary is how a topic stands.
type TopicSummary struct {
	Name    string
	Readers int
	Events  int   // that are kept
	Bytes   int64 // that these take
	Present int   // users who are present
	Used    time.Time
}

// TopicSummaries returns the topics with the most readers, those that were used last before others, at most limit, and
// how many topics there are.
func (h *Hub) TopicSummaries(limit int) (list []TopicSummary, total int) {
	all := h.topics.all()
	list = make([]TopicSummary, len(all))
	for i, t := range all {
		t.Lock()
		list[i] = TopicSummary{Name: t.name, Readers: t.Readers(), Events: t.Len(), Bytes: t.Size(), Used: t.lastUsed}
		presences := t.presences
		t.Unlock()
		if presences != nil {
			presences.Lock()
			list[i].Present = len(presences.byKey)
			presences.Unlock()
		}
	}
	return sortTopics(list, limit), len(all)
}

// QueueSummary is how one user's queue stands.
type QueueSummary struct {
	User     string
	Messages int
	Bytes    int64     // of payloads
	Oldest   time.Time // when its oldest message came
}

// QueueTotals are the figures of all queues that have messages waiting.
type QueueTotals struct {
	Users    int
	Messages int
	Bytes    int64     // of payloads
	Oldest   time.Time // when the one that expires first came, which is the oldest unless QueueTTL was changed; zero where none waits
}

// QueueSummaries returns the longest queues, at most limit, and the figures of all. Without a store there are none.
func (h *Hub) QueueSummaries(limit int) ([]QueueSummary, QueueTotals, error) {
	if h.queues.store == nil {
		return nil, QueueTotals{}, nil
	}
	return h.queues.store.QueueSummaries(limit)
}
