package redis

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
