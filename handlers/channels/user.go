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

// user is user:ID: what is meant for one user, on all of the user's sessions: the topic's events, and the queue. Its
// own user may join it without being told so by a token. Others who may subscribe it hear the topic alone; the queue is
// for admins besides.
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

// userHandler is one session's user:ID.
type userHandler struct {
	publisher
	user string
}

// mayRead asks whether the client may read the queue, and acknowledge: its own, or as an admin. To leave messages there
// is no right to take them away.
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
