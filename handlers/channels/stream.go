package channels

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
)

// stream is the kind of stream:ID: any stream, by its id or the id that its owner gave it. Its entries are sent as over
// SSE (chunk, structured entries, end); the channel closes at its end. Clients may send cancel and get_status.
type stream struct{}

func (stream) Join(ctx context.Context, c *socket.Channel, _ json.RawMessage) (socket.Handler, error) {
	s, err := readableStream(ctx, c, strings.TrimPrefix(c.Topic(), "stream:"))
	if err != nil {
		return nil, err
	}
	c.Set("id", s.ID)
	c.Set("status", s.Status())
	return &streamHandler{c, s}, c.FollowWhole(s)
}

// readableStream returns a stream that the client may read: its own, or one of a topic that it may subscribe to. For
// any other stream it returns not found.
func readableStream(ctx context.Context, c *socket.Channel, id string) (*hub.Stream, error) {
	s, err := c.Hub().Stream(c.User(), id)
	if err != nil {
		return nil, err
	}
	return s, c.MayRead(ctx, s)
}

type streamHandler struct {
	c *socket.Channel
	s *hub.Stream
}

func (h *streamHandler) Handle(ctx context.Context, m *socket.Message) error {
	switch m.Event {
	case "cancel":
		if err := h.c.MayCancel(ctx, h.s); err != nil {
			return err
		}
		h.s.Cancel(h.c.User())
		m.Reply(map[string]any{"status": h.s.Status()})
	case "get_status":
		m.Reply(statusOf(h.s))
	default:
		return socket.Refuse("unknown event; a stream knows cancel and get_status")
	}
	return nil
}
