package socket

import "github.com/duckwire/duckwire/hub/log"

// The ref slot of a message that is not a reply has a position, for clients that asked for positions: the one to join
// with after this message. It says how far the client has got in the topic, and in the streams that it follows.

// placesRef returns the ref of a message at the client's places. It is nil if the channel has no topic.
func (c *Channel) placesRef() []byte {
	if !c.positions || c.places.Topic.Epoch == "" {
		return nil
	}
	return append(c.places.Append([]byte{'"'}), '"')
}

// reached notes that the client gets an event at a position in the topic; zero: the event has none.
func (c *Channel) reached(at log.Position) {
	if at.Epoch != "" {
		c.places.Topic = at
	}
}

// topicRef is reached, and returns the event's ref. An event without a position has none.
func (c *Channel) topicRef(at log.Position) []byte {
	if at.Epoch == "" {
		return nil
	}
	c.reached(at)
	return c.placesRef()
}

// positionRef returns the ref of a message at a position in the channel's only log.
func (c *Channel) positionRef(at log.Position) []byte {
	if !c.positions || at.Epoch == "" {
		return nil
	}
	return append(at.Append([]byte{'"'}), '"')
}

// addPosition adds the client's places to the reply to the join.
func (c *Channel) addPosition() {
	if c.places.Topic.Epoch != "" {
		c.setPosition(c.places.Append(nil))
	}
}

// setPosition adds a position to the reply to the join.
func (c *Channel) setPosition(at []byte) {
	if c.positions {
		c.Set("position", string(at))
	}
}
