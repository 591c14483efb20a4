package socket

import "github.com/duckwire/duckwire/middleware/ratelimit"

// admit decides whether a message may be handled: it is counted, and its name is checked. Errors: *errs.LimitError,
// *errs.FieldError.
func (c *Channel) admit(m *Message) error {
	err := c.takeRate(m)
	if err == nil {
		err = c.route.Events.check(m.Event)
	}
	if h, ok := c.handler.(RefusalObserver); ok && err != nil {
		h.Refused(m, err)
	}
	return err
}

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
	return c.socket.server.Rates.Take(kind, by, 1)
}
