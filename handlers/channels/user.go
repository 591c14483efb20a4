package channels

import (
	"context"
	"encoding/json"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
)

// user is user:ID: what is meant for one user, on all of the user's sessions. Its own user may join it without being told so by a token.
type user struct{}

func (user) Join(ctx context.Context, c *socket.Channel, _ json.RawMessage) (socket.Handler, error) {
	if c.Topic() != "user:"+c.User() {
		if err := c.Authorize(ctx, c.Topic(), hub.ActionSubscribe); err != nil {
			return nil, err
		}
	}
	return &publisher{c}, c.Subscribe(c.Topic())
}
