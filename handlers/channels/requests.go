package channels

import (
	"cmp"
	"context"
	"errors"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// requestID returns the request that a message refers to. Each generation of clients has its own name for it.
func requestID(m *socket.Message) (string, error) {
	var p struct {
		Request    string `json:"request_id"`
		Completion string `json:"completion_id"`
		Analysis   string `json:"analysis_id"`
		ID         string `json:"id"`
	}
	if err := m.Decode(&p); err != nil {
		return "", err
	}
	id := cmp.Or(p.Request, p.Completion, p.Analysis, p.ID)
	if id == "" {
		return "", errs.Invalid("request_id", "is missing; completion_id, analysis_id or id will do as well")
	}
	return id, nil
}

// cancel cancels a request. Its followers get its last event; the reply has its status.
func cancel(ctx context.Context, c *socket.Channel, m *socket.Message) error {
	id, err := requestID(m)
	if err != nil {
		return err
	}
	s, err := readableStream(ctx, c, id)
	if err != nil {
		return err
	}
	if err := c.MayCancel(ctx, s); err != nil {
		return err
	}
	s.Cancel(c.User())
	m.Reply(map[string]hub.Status{"status": s.Status()})
	return nil
}

// getStatus replies with the status of a request. For a request that is unknown, or that the client may not read, the
// status is "not_found".
func getStatus(ctx context.Context, c *socket.Channel, m *socket.Message) error {
	id, err := requestID(m)
	if err != nil {
		return err
	}
	s, err := readableStream(ctx, c, id)
	switch {
	case errors.Is(err, errs.ErrNotFound):
		m.Reply(map[string]string{"status": statusNotFound})
	case err != nil:
		return err
	default:
		m.Reply(statusOf(s))
	}
	return nil
}
