package socket

import "github.com/duckwire/duckwire/middleware/ratelimit"

// takeRate counts a message against the rate limit of its kind. Errors: *errs.LimitError beyond the limit.
func (c *Channel) takeRate(m *Message) error {
	kind := ratelimit.Events
	if h, ok := c.handler.(Rated); ok {
		kind = h.Rate(m)
	}
	by := ratelimit.Of(c.Identity())
	if kind == ratelimit.Cursors {
		by = ratelimit.By{User: c.socket.id} // each window has its own cursor, so each session has its own limit
	}
	err := c.socket.server.Rates.Take(kind, by, 1)
	if h, ok := c.handler.(RefusalObserver); ok && err != nil {
		h.Refused(m, err)
	}
	return err
}
