package socket

import (
	"context"
	"encoding/json"

	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// A Kind is one kind of channel: what the topics of one pattern do. A new one is a file that implements it, and a line in the table of routes.
// Its methods are called from many goroutines.
type Kind interface {
	// Join decides whether a client may join c.Topic() and returns what handles its messages. params is what the client sent, any JSON value,
	// or nil where it was bytes. In it the channel subscribes what it wants to hear of, and may set members of the reply (Channel.Set); what
	// it pushes goes out after the reply. ctx ends with the socket.
	//
	// An error refuses the join: a *Refusal as it says; *errs.FieldError and the hub's other errors as Reason words them; nothing is left
	// subscribed. A panic is answered with "join crashed".
	Join(ctx context.Context, c *Channel, params json.RawMessage) (Handler, error)
}

// A Handler is one client's join of one topic. Its methods are called one at a time.
type Handler interface {
	// Handle handles one message; ctx ends when the client leaves, and soon after the last message that is there has been handled: what goes on
	// for longer must not use it. Whatever reply it wants to give it gives itself, at once or later (Message.Reply), at most one. An error
	// becomes an error reply. A panic crashes the channel: it is logged, the client gets phx_error and joins again. So does a panic in
	// any other method of the Handler's, or in what Follow was given.
	Handle(ctx context.Context, m *Message) error
}

// A Leaver is a Handler that wants to know when it is over, for whatever reason. Left is called once, after the last Handle; for a join that
// was refused it is not.
type Leaver interface{ Left() }

// A Rated is a Handler that knows which of its messages are more than events, or less. A message is counted before it is handled; beyond the limit it is
// answered with rate_limited, and the channel goes on. The messages of other Handlers are events.
type Rated interface {
	Rate(m *Message) ratelimit.Kind
}

// A RefusalObserver is a Handler that tells its client of refusals in words of its own, beside the reply.
type RefusalObserver interface {
	Refused(m *Message, err error)
}

// A Rewriter is a Handler that looks at each event of the topics it subscribed before the event goes to its client (Phoenix's intercept).
// Rewrite is called from the goroutine that writes, at the same time as Handle: it must be fast, and guard what both use.
type Rewriter interface {
	// Rewrite returns what the client gets in the event's place; out.Event "" is nothing. keep says that the event goes out as it is, in
	// the bytes that all clients share.
	Rewrite(ev *log.Event) (out Outgoing, keep bool)
}

// Outgoing is an event for one client. Payload is a JSON object.
type Outgoing struct {
	Event   string
	Payload json.RawMessage
	At      log.Position // where a client that asked for positions goes on after it; zero: it has none
}

// Refusal is a Kind's or Handler's own word: the response of an error reply.
type Refusal struct {
	Response any // encoded as JSON
}

func (r *Refusal) Error() string { return "refused" }

// Refuse returns the refusal {"reason": reason}.
func Refuse(reason string) error { return &Refusal{Response: map[string]string{"reason": reason}} }

// ErrUnmatched answers as if there were no such topic.
var ErrUnmatched = Refuse("unmatched topic")

// Route is one line of the table of channels. Pattern is a topic, or the beginning of topics followed by one *. The first match counts.
type Route struct {
	Pattern string
	Kind    Kind
}
