package channels

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
)

// user is the kind of user:ID: the events of a user's topic and the user's queue, on all of the user's sessions. The
// user itself may join without an explicit right. Other users who may subscribe receive only the topic; admins also the
// queue.
type user struct{}

func (user) Join(ctx context.Context, c *socket.Channel, _ json.RawMessage) (socket.Handler, error) {
	h := &userHandler{publisher{c}, strings.TrimPrefix(c.Topic(), hub.UserTopic(""))}
	if h.user != c.User() {
		if err := c.Authorize(ctx, c.Topic(), rights.ActionSubscribe); err != nil {
			return nil, err
		}
	}
	switch err := h.mayRead(ctx); {
	case err == nil:
		return h, c.SubscribeWithQueue(c.Topic(), h.user)
	case errors.Is(err, errs.ErrForbidden):
		return h, c.Subscribe(c.Topic())
	default:
		return nil, err
	}
}

// eventAck acknowledges messages: {"through": POSITION}.
const eventAck = "ack"

// userHandler handles one session's join of user:ID.
type userHandler struct {
	publisher
	user string
}

// mayRead checks whether the client may read and acknowledge the queue: its own, or any as an admin. The right to
// enqueue messages does not suffice.
func (h *userHandler) mayRead(ctx context.Context) error {
	if h.user == h.c.User() {
		return nil
	}
	return h.c.Authorize(ctx, h.c.Topic(), rights.ActionAdmin)
}

// Handle implements socket.Handler.
func (h *userHandler) Handle(ctx context.Context, m *socket.Message) error {
	if m.Event == eventAck {
		return h.ack(ctx, m)
	}
	return h.publisher.Handle(ctx, m)
}

// ack acknowledges all messages up to a position.
func (h *userHandler) ack(ctx context.Context, m *socket.Message) error {
	if err := h.mayRead(ctx); err != nil {
		return err
	}
	var p struct {
		Through string `json:"through"`
	}
	if err := m.Decode(&p); err != nil {
		return err
	}
	through, err := socket.QueuePosition("through", p.Through)
	if err != nil {
		return err
	}
	if err := h.c.Hub().AckMessages(h.user, through); err != nil {
		return err
	}
	m.Reply(map[string]string{"through": through.String()})
	return nil
}
