package channels

import (
	"context"
	"encoding/json"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/rights"
)

// plain is the kind of a channel without events of its own: whatever a client pushes is published on the topic, to all
// clients including the sender.
type plain struct{}

func (plain) Join(ctx context.Context, c *socket.Channel, _ json.RawMessage) (socket.Handler, error) {
	if err := enter(ctx, c); err != nil {
		return nil, err
	}
	return &publisher{c}, c.Subscribe(c.Topic())
}

// enter checks that the channel's topic is valid, and that the client may subscribe to it.
func enter(ctx context.Context, c *socket.Channel) error {
	if err := hub.ValidTopic(c.Topic()); err != nil {
		return err
	}
	return c.Authorize(ctx, c.Topic(), rights.ActionSubscribe)
}

// publisher publishes events that its channel does not define. Other handlers embed it.
type publisher struct{ c *socket.Channel }

// published is the reply to a published event. An ephemeral event has no position.
type published struct {
	ID       string `json:"id"`
	Position string `json:"position,omitempty"`
}

// Handle publishes the message as an event, if the token allows it. Its payload may have "id", for idempotency,
// "ephemeral": true, and "durable": true with "to", the users in whose queues it is stored.
func (h *publisher) Handle(ctx context.Context, m *socket.Message) error {
	if err := h.c.Authorize(ctx, h.c.Topic(), rights.ActionPublish); err != nil {
		return err
	}
	in := hub.EventInput{Event: m.Event, Payload: m.Payload, Bytes: m.Bytes}
	durable, err := readPublishMembers(m, &in)
	if err != nil {
		return err
	}
	if durable {
		if err := h.readDurable(ctx, m, &in); err != nil {
			return err
		}
	}
	return publish(h.c, m, in)
}

// readDurable reads the users of a durable payload, and checks the right to enqueue messages for them. In other
// payloads "to" belongs to the application.
func (h *publisher) readDurable(ctx context.Context, m *socket.Message, in *hub.EventInput) error {
	var p struct {
		To []string `json:"to"`
	}
	if err := m.Decode(&p); err != nil {
		return err
	}
	in.Durable, in.To = true, p.To
	if err := h.c.Hub().CheckEvents([]hub.EventInput{*in}); err != nil {
		return err
	}
	for _, user := range in.To {
		if err := h.c.Authorize(ctx, hub.UserTopic(user), rights.ActionQueue); err != nil {
			return err
		}
	}
	return nil
}

// publish publishes on the channel's topic, and replies with the position.
func publish(c *socket.Channel, m *socket.Message, in hub.EventInput) error {
	return publishOn(c.Topic(), c, m, in)
}

// publishOn is publish on a topic that is not the channel's.
func publishOn(topic string, c *socket.Channel, m *socket.Message, in hub.EventInput) error {
	out, err := c.Publish(topic, in)
	if err != nil {
		return err
	}
	m.Reply(published{out.ID, out.Position})
	return nil
}

// publishMembers are the members of a payload that determine how it is published. A payload that is not an object has
// none.
type publishMembers struct {
	ID        json.RawMessage `json:"id"`
	Ephemeral json.RawMessage `json:"ephemeral"`
	Durable   json.RawMessage `json:"durable"`
}

func membersOf(m *socket.Message) (p publishMembers) {
	if m.Bytes != nil || json.Unmarshal(m.Payload, &p) != nil {
		return publishMembers{}
	}
	return p
}

// readPublishMembers reads them. durable requests that the event is stored for users, which not every channel supports.
func readPublishMembers(m *socket.Message, in *hub.EventInput) (durable bool, err error) {
	p := membersOf(m)
	var id string
	if json.Unmarshal(p.ID, &id) == nil && id != "" { // an id of another type belongs to the application
		if err := hub.ValidName("id", id); err != nil {
			return false, err
		}
		in.ID = id
	}
	in.Ephemeral = string(p.Ephemeral) == "true"
	return string(p.Durable) == "true", nil
}
