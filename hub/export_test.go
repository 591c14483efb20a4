package hub

// DropTopics forgets every topic that nobody reads, as eviction does.
func (h *Hub) DropTopics() {
	for _, t := range h.allTopics() {
		h.dropTopic(t)
	}
}
