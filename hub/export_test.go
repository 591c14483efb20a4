package hub

// DropTopics drops every topic without readers, as eviction does.
func (h *Hub) DropTopics() {
	for _, t := range h.topics.all() {
		h.topics.drop(t)
	}
}
