package redis

import "time"

// Follow has the store follow a channel; see bus.follow.
func (s *Store) Follow(channel string, heard func(message string), gap func()) (stop func()) {
	return s.bus.follow(channel, &follower{heard: heard, gap: gap})
}

// Publish publishes a message.
func (s *Store) Publish(channel, message string) error {
	return s.client.Do(s.ctx, s.client.B().Publish().Channel(channel).Message(message).Build()).Error()
}

// Forget empties Redis.
func (s *Store) Forget() error { return s.do(s.client.B().Flushall().Build()).Error() }

// Bury has this node find another one dead at its next beat, as when the other's lease has run out.
func (s *Store) Bury(node string) error {
	s.nodes.mu.Lock()
	s.nodes.blind = time.Time{}
	s.nodes.mu.Unlock()
	return s.do(s.client.B().Del().Key(leaseKey(node)).Build()).Error()
}

// Knows reports whether this node has yet to find out that another one is gone.
func (s *Store) Knows(node string) bool {
	s.nodes.mu.Lock()
	defer s.nodes.mu.Unlock()
	_, listed := s.nodes.alive[node]
	return listed || s.nodes.seen[node]
}

// Beaten returns when this node's last beat was that succeeded.
func (s *Store) Beaten() time.Time {
	s.nodes.mu.Lock()
	defer s.nodes.mu.Unlock()
	return s.nodes.renewed
}
