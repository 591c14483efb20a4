package socket

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// A Kind implements the topics of one pattern. A new kind of channel needs a file that implements Kind, and an entry in
// the table of routes. Its methods are called from many goroutines.
type Kind interface {
	// Join decides whether a client may join c.Topic(), and returns the handler of its messages. params is what the
	// client sent, any JSON value, or nil if it sent bytes. Join subscribes the channel to topics, and may add members
	// to the reply (Channel.Set). What it pushes is sent after the reply. ctx ends with the socket.
	//
	// An error refuses the join, and removes its subscriptions. A *Refusal determines the reply itself; Reason encodes
	// *errs.FieldError and the hub's other errors. After a panic the reply is "join crashed".
	Join(ctx context.Context, c *Channel, params json.RawMessage) (Handler, error)
}

// A Handler handles the messages of one client's join of one topic. Its methods are called one at a time.
type Handler interface {
	// Handle handles one message. ctx ends when the client leaves, and soon after the last queued message was handled:
	// work that lasts longer must not use it. Handle replies itself, at once or later (Message.Reply), and at most
	// once. An error is sent as an error reply. A panic is logged and ends the channel; the client gets phx_error and
	// joins again. The same is true of panics in the Handler's other methods, and in the function passed to Follow.
	Handle(ctx context.Context, m *Message) error
}

// A Leaver is a Handler that is notified when the channel has ended, for whatever reason. Left is called once, after
// the last Handle. It is not called for a join that was refused.
type Leaver interface{ Left() }

// A Rated is a Handler that decides itself which rate limit a message counts against, for example from its payload. ok
// is false for messages that count as usual (Vocabulary.Commands).
type Rated interface {
	Rate(m *Message) (kind ratelimit.Kind, ok bool)
}

// A RefusalObserver is a Handler that sends its client an event of its own, in addition to the reply, when a message is
// refused before it is handled: beyond a rate limit, or for its name (Vocabulary).
type RefusalObserver interface {
	Refused(m *Message, err error)
}

// A Rewriter is a Handler that may replace each event of the topics it subscribed to before the event is sent to its
// client (Phoenix's intercept). Rewrite is called by the goroutine that writes, concurrently with Handle. It must be
// fast, and must guard data that both use. It is also told of events that spare the client (log.Event.Except); what it
// returns of them has no effect.
type Rewriter interface {
	// Rewrite returns the event to send instead; out.Event "" sends nothing. keep means that the event is sent
	// unchanged, in the frame that all clients share.
	Rewrite(ev *log.Event) (out Outgoing, keep bool)
}

// Outgoing is an event for one client. Payload is a JSON object.
//
// Bytes, if not nil, is sent in a binary frame, in place of Payload, to a client that has binary frames and did not ask
// for positions. Others get Payload, or {"bytes": BASE64} if Payload is nil.
type Outgoing struct {
	Event     string
	Payload   json.RawMessage
	Bytes     []byte
	Broadcast string       // not "": Bytes are the payload of this broadcast of Supabase's (phoenix.UserBroadcast)
	At        log.Position // position to resume from after this event, for clients that asked for positions; zero: none
}

// Refusal is an error that determines the response of an error reply.
type Refusal struct {
	Response any // encoded as JSON
}

func (r *Refusal) Error() string { return "refused" }

// Refuse returns the refusal {"reason": reason}.
func Refuse(reason string) error { return &Refusal{Response: map[string]string{"reason": reason}} }

// RefuseAs returns a refusal whose reason is in the words of other servers' clients. code is ours for it (Reason).
func RefuseAs(code, reason string) error {
	return &Refusal{Response: map[string]string{"reason": reason, "code": code}}
}

// ErrUnmatched gives the reply for a topic that does not exist.
var ErrUnmatched = Refuse("unmatched topic")

// Route is one entry of the table of channels. Pattern is a topic, or a prefix of topics followed by *.
type Route struct {
	Pattern string
	Kind    Kind
	Events  Vocabulary
}

// matches reports whether a topic is one of the pattern.
func (r *Route) matches(topic string) bool {
	if prefix, ok := strings.CutSuffix(r.Pattern, "*"); ok && strings.HasPrefix(topic, prefix) {
		return true
	}
	return r.Pattern == topic
}

// Routes is the table of channels. The first match is used.
type Routes []Route

// Find returns the route of a topic, or nil.
func (r Routes) Find(topic string) *Route {
	for i := range r {
		if r[i].matches(topic) {
			return &r[i]
		}
	}
	return nil
}
