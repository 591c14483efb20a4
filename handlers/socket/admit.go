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

// takeRate counts a message against the rate limit of its kind. Errors: *errs.LimitError beyond the limit; then the reply
// is rate_limited, and the channel continues.
func (c *Channel) takeRate(m *Message) error {
	kind := c.rate(m)
	by := ratelimit.Of(c.Identity())
	if kind == ratelimit.Cursors {
		by = ratelimit.By{User: c.socket.id} // each window has its own cursor, so each session has its own limit
	}
	return c.socket.server.Rates.Take(kind, by, 1)
}

// rate returns the rate limit that a message counts against. The reserved members have no effect on commands.
func (c *Channel) rate(m *Message) ratelimit.Kind {
	if h, ok := c.handler.(Rated); ok {
		if kind, ok := h.Rate(m); ok {
			return kind
		}
	}
	kind, command := c.route.Events.Commands[m.Event]
	switch {
	case command:
		return kind
	case m.Reserved.Durable:
		return ratelimit.Queue
	case m.Reserved.Ephemeral:
		return ratelimit.Cursors
	}
	return ratelimit.Events
}
