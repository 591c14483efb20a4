package socket

import "github.com/duckwire/duckwire/middleware/ratelimit"

// takeRate counts a message against the rate limit of its kind. Errors: *errs.LimitError beyond the limit.
func (c *Channel) takeRate(m *Message) error {
	kind := ratelimit.Events
	if h, ok := c.handler.(Rated); ok {
		kind = h.Rate(m)
	}
	key := c.User()
	if kind == ratelimit.Cursors {
		key = c.socket.id // each window has its own cursor, so each session has its own limit
	}
	err := c.socket.server.Rates.Take(kind, key, 1)
	if h, ok := c.handler.(RefusalObserver); ok && err != nil {
		h.Refused(m, err)
	}
	return err
}
