package channels

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
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

// Handle publishes the message as an event, if the token allows it. socket.Reserved tells how.
func (h *publisher) Handle(ctx context.Context, m *socket.Message) error {
	if err := h.c.Authorize(ctx, h.c.Topic(), rights.ActionPublish); err != nil {
		return err
	}
	in := inputOf(m)
	in.Durable, in.To = m.Reserved.Durable, m.Reserved.To
	if err := h.mayEnqueue(ctx, &in); err != nil {
		return err
	}
	return publish(h.c, m, in)
}

// mayEnqueue checks the right to enqueue messages for the users of a durable event.
func (h *publisher) mayEnqueue(ctx context.Context, in *hub.EventInput) error {
	if len(in.To) == 0 {
		return nil
	}
	if err := h.c.Hub().CheckEvents([]hub.EventInput{*in}); err != nil {
		return reservedError(err)
	}
	for _, user := range in.To {
		if err := h.c.Authorize(ctx, hub.UserTopic(user), rights.ActionQueue); err != nil {
			return err
		}
	}
	return nil
}

// inputOf returns the event that a message publishes, which is not durable.
func inputOf(m *socket.Message) hub.EventInput {
	return hub.EventInput{
		ID: m.Reserved.ID, Event: m.Event, Payload: m.Payload, Bytes: m.Bytes, Ephemeral: m.Reserved.Ephemeral,
	}
}

// refuseDurable returns an error for a durable message on a channel that stores nothing for users.
func refuseDurable(m *socket.Message) error {
	if m.Reserved.Durable || len(m.Reserved.To) > 0 {
		return errs.Invalid(socket.ReservedMember+".durable", "events of this channel are not kept for users; "+
			"publish it on a topic without a kind, or leave a message in the users' queues")
	}
	return nil
}

// reservedError names a field of hub.EventInput as the client did.
func reservedError(err error) error {
	var fault *errs.FieldError
	if errors.As(err, &fault) && (fault.Field == "id" || fault.Field == "durable" || fault.Field == "to") {
		return &errs.FieldError{
			Field: socket.ReservedMember + "." + fault.Field, Reason: fault.Reason, Kind: fault.Kind,
		}
	}
	return err
}

// publish publishes on the channel's topic, and replies with the position.
func publish(c *socket.Channel, m *socket.Message, in hub.EventInput) error {
	return publishOn(c.Topic(), c, m, in)
}

// publishOn is publish on a topic that is not the channel's.
func publishOn(topic string, c *socket.Channel, m *socket.Message, in hub.EventInput) error {
	out, err := c.Publish(topic, in)
	if err != nil {
		return reservedError(err)
	}
	m.Reply(published{out.ID, out.Position})
	return nil
}
