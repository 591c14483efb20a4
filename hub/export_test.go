package hub

// DropTopics forgets every topic that nobody reads, as eviction does.
func (h *Hub) DropTopics() {
	for _, t := range h.topics.all() {
		h.topics.drop(t)
	}
}
