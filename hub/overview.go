package hub

import "time"

// TopicSummary is the state of a topic.
type TopicSummary struct {
	Name    string
	Readers int
	Events  int   // that are retained
	Bytes   int64 // of these events
	Present int   // users who are present
	Used    time.Time
}

// TopicSummaries returns the topics with the most readers on this node, at most limit, those of equally many by their
// last use, and the number of all topics.
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

// QueueSummary is the state of one user's queue.
type QueueSummary struct {
	User     string
	Messages int
	Bytes    int64     // of payloads
	Oldest   time.Time // when its oldest message was queued
}

// QueueTotals are the totals of all queues that have messages.
type QueueTotals struct {
	Users    int
	Messages int
	Bytes    int64 // of payloads

	// Oldest is when the message was queued that expires first. That is the oldest message, unless QueueTTL was changed.
	// It is zero if there are no messages.
	Oldest time.Time
}

// QueueSummaries returns the longest queues, at most limit, and the totals of all. Without a store there are none.
func (h *Hub) QueueSummaries(limit int) ([]QueueSummary, QueueTotals, error) {
	if h.queues.store == nil {
		return nil, QueueTotals{}, nil
	}
	return h.queues.store.QueueSummaries(limit)
}
