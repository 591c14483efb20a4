package socket

import (
	"maps"
	"slices"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/nearest"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// Vocabulary names the events of a kind of channel. The zero value names none: then a client may publish any event, and
// its Kind handles every name. Protocol names (hub.ValidEvent) need not be listed.
type Vocabulary struct {
	// Commands are events that clients push and the Kind handles, with the rate limit that each counts against. A name
	// that is probably a misspelling of one (nearest.Typo) is refused before the Handler sees it, because the Handler
	// might publish it, with all it contains.
	Commands map[string]ratelimit.Kind
	// Sent are events that only the channel itself sends. Clients cannot publish them, at any door. If one is a command,
	// too, it can be pushed on a socket.
	Sent []string
}

// check returns the error for an event that a client pushes on a socket. Errors are *errs.FieldError.
func (v *Vocabulary) check(event string) error {
	if _, ok := v.Commands[event]; ok {
		return nil
	}
	if err := v.CheckPublish("event", event); err != nil {
		return err
	}
	if meant := nearest.Typo(event, maps.Keys(v.Commands)); meant != "" {
		return errs.Invalid("event", "%.40q is too similar to this channel's command %s; events of your own need another name",
			event, meant)
	}
	return nil
}

// CheckPublish returns the error for an event that a client publishes on a topic of the kind; field is its name in the
// client's request. Errors are *errs.FieldError.
func (v *Vocabulary) CheckPublish(field, event string) error {
	if slices.Contains(v.Sent, event) {
		return errs.Invalid(field, "%s is the server's to send on this topic; choose another name", event)
	}
	return nil
}
