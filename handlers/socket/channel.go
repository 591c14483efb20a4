package socket

import (
	"context"
	"encoding/json"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/rights"
)

// Channel is one client's join of one topic, as its Kind sees it. Its methods may be called from any goroutine until the channel ends, and do
// nothing after.
type Channel struct {
	socket  *Socket
	topic   string
	joinRef json.RawMessage // of the join, as it came; nil: null
	ref     json.RawMessage // of the join
	pushRef json.RawMessage // what its own messages carry: the join's ref where the join had no join_ref
	kind    Kind

	params json.RawMessage // until the join is decided

	// Set by the join, fixed after it.
	handler   Handler
	rewriter  Rewriter
	client    string // the stable name of the client
	named     bool   // by itself
	after     string // where it goes on; "": at the tail
	positions bool   // it asked for positions
	response  map[string]any

	ended atomic.Bool

	// Guarded by Socket.mu.
	state         channelState
	inbox         []phoenix.Message // what came while the worker was busy
	joins         int               // joins in the inbox
	working       bool
	handling      bool               // the worker has a message
	sourceEnded   bool               // a feed has said all; the channel ends once the message that the worker has is answered
	cancel        context.CancelFunc // of the worker's context
	beforeReply   []frame            // what was pushed before the reply to the join
	feeds         []*feed
	replaced      *Channel // that it replaces
	awaitsRelease bool     // for the release of old

	grants []grant // what the join was granted; fixed once it is joined

	presence *hub.Presence // nil: none
	watching bool          // it is told who is present; set by the join
}

type channelState uint8

const (
	joining channelState = iota
	joined
	ended
)

// ending is how a channel ended.
type ending uint8

const (
	endLeft      ending = iota // the client left
	endReplaced                // by a newer join
	endStopped                 // it is over, for good
	endCrashed                 // the client joins again
	endRefused                 // it never was
	endClosed                  // the socket was closed in good order
	endBroken                  // the socket broke
	endForbidden               // the renewed token does not allow it
	endReduced                 // the renewed token allows less than the join was given: the client joins again
)

// Topic returns the topic as the client named it.
func (c *Channel) Topic() string { return c.topic }

// User returns the client's user.
func (c *Channel) User() string { return c.Identity().User }

// Identity returns whom the client's token names.
func (c *Channel) Identity() *rights.Identity { return c.socket.identity() }

// Client returns the stable name of the client: the join's "client_id", else one that holds for this socket alone.
func (c *Channel) Client() string { return c.client }

// Hub returns the hub.
func (c *Channel) Hub() *hub.Hub { return c.socket.server.Hub }

// Logger returns the server's logger.
func (c *Channel) Logger() *slog.Logger { return c.socket.server.Logger }

// Authorize asks whether the client may do a on a topic. What it grants within Join is asked again when the client renews its token, and the channel
// ends if that is refused; after Join it holds for the moment. Errors are rights.Authorizer's.
func (c *Channel) Authorize(ctx context.Context, topic string, a rights.Action) error {
	err := c.socket.server.Authorizer.Authorize(ctx, c.Identity(), topic, a)
	if err == nil {
		c.recordGrant(topic, a)
	}
	return err
}

// MayAnywhere asks whether the client may do a, on whatever topic. Errors are rights.Authorizer's.
func (c *Channel) MayAnywhere(ctx context.Context, a rights.Action) error {
	return rights.AuthorizeAnywhere(ctx, c.socket.server.Authorizer, c.Identity(), a)
}

// MayRead asks whether the client may read a stream, and again as Authorize does. Errors: errs.ErrNotFound for no.
func (c *Channel) MayRead(ctx context.Context, s *hub.Stream) error {
	err := hub.AuthorizeRead(ctx, c.socket.server.Authorizer, c.Identity(), s)
	if err == nil && s.Owner != c.User() {
		c.recordGrant(s.RightsTopic(), rights.ActionSubscribe)
	}
	return err
}

// MayCancel asks whether the client may cancel a stream. Errors: errs.ErrForbidden for no.
func (c *Channel) MayCancel(ctx context.Context, s *hub.Stream) error {
	return hub.AuthorizeCancel(ctx, c.socket.server.Authorizer, c.Identity(), s)
}

// Set puts a member into the reply to the join.
func (c *Channel) Set(name string, value any) {
	if c.response == nil {
		c.response = make(map[string]any)
	}
	c.response[name] = value
}

// Push sends an event to this client alone. payload must encode as a JSON object.
func (c *Channel) Push(event string, payload any) {
	c.send(textFrame(func(dst []byte) []byte {
		return phoenix.AppendText(dst, c.socket.version, c.pushRef, nil, c.topic, event, encode(payload))
	}))
}

// PushBytes sends an event with bytes to this client alone. Where the transport has no binary frames they are {"bytes": BASE64}.
func (c *Channel) PushBytes(event string, payload []byte) {
	if c.socket.binary {
		if buf, err := phoenix.AppendBinaryPush(frameBuffer(len(payload)), unquoteRef(c.pushRef), c.topic, event, payload); err == nil {
			c.send(seal(buf, opBinary))
			return
		}
	}
	c.Push(event, map[string][]byte{"bytes": payload})
}

// Publish publishes an event as the client's user. Whether the user may is not asked. Errors are hub.Publish's.
func (c *Channel) Publish(topic string, in hub.EventInput) (hub.Published, error) {
	out, err := c.Hub().Publish(topic, c.User(), []hub.EventInput{in})
	if err != nil {
		return hub.Published{}, err
	}
	return out[0], nil
}

// Stop ends the channel for good: the client gets phx_close and does not join again.
func (c *Channel) Stop() { c.end(endStopped) }

// Crash ends the channel for now: the client gets phx_error and joins again.
func (c *Channel) Crash() { c.end(endCrashed) }

// send puts a frame into the first lane; before the reply to the join it is held.
func (c *Channel) send(f frame) {
	s := c.socket
	s.mu.Lock()
	deaf := s.backlog > abortBacklog
	switch c.state {
	case joining:
		c.beforeReply = append(c.beforeReply, f)
	case joined:
		s.postLocked(f)
	}
	s.mu.Unlock()
	if deaf {
		s.transport.abort()
		return
	}
	s.transport.notify()
}

// work is the channel's goroutine while there is something to do: first the join, then the messages, one after another.
func (c *Channel) work() {
	s := c.socket
	ctx, cancel := context.WithCancel(s.server.ctx)
	defer cancel()
	s.mu.Lock()
	c.cancel = cancel
	state := c.state
	s.mu.Unlock()
	if state == joining {
		c.join(ctx)
	}
	for {
		m, ok := c.take()
		if !ok {
			return
		}
		c.handle(ctx, &m)
	}
}

// take returns the next message, or ends the worker. The one before it is answered.
func (c *Channel) take() (m phoenix.Message, ok bool) {
	s := c.socket
	s.mu.Lock()
	c.handling = false
	if c.sourceEnded && c.state == joined {
		s.mu.Unlock()
		c.end(endStopped)
		s.mu.Lock()
	}
	if c.state == joined && len(c.inbox) > 0 {
		c.handling = true
		m = c.inbox[0]
		c.inbox[0] = phoenix.Message{}
		c.inbox = c.inbox[1:]
		s.uncountLocked(&m)
		s.mu.Unlock()
		return m, true
	}
	c.working, c.cancel, c.inbox = false, nil, nil
	left := c.state == ended
	s.mu.Unlock()
	if left {
		c.notifyLeaver()
	}
	return m, false
}

// handle is steps 4 and 5 of the dispatch (protocol/phoenix-v2.md 4.1), and a join that was queued behind the first.
func (c *Channel) handle(ctx context.Context, m *phoenix.Message) {
	switch {
	case m.Event == phoenix.EventJoin:
		c.socket.replace(c, m)
	case m.JoinRef != nil && !sameRef(m.JoinRef, c.joinRef):
		// of an earlier join: not even an answer
	case m.Event == phoenix.EventLeave:
		c.leave(m.Ref)
	default:
		c.serve(ctx, &Message{Event: m.Event, Payload: m.Payload, Bytes: m.Bytes, channel: c, ref: m.Ref})
	}
}

// sameRef compares two refs as JSON values: 1 is not "1", but "é" may be escaped in one and not in the other, such as a binary frame's.
func sameRef(a, b json.RawMessage) bool {
	return string(a) == string(b) || len(a) > 0 && len(b) > 0 && a[0] == '"' && b[0] == '"' && unquoteRef(a) == unquoteRef(b)
}

// serve has the handler handle a message, and answers with its error. A panic ends the channel.
func (c *Channel) serve(ctx context.Context, m *Message) {
	defer c.recoverPanic("event", m.Event)
	if err := c.callHandler(ctx, m); err != nil {
		if isInternal(err) && ctx.Err() == nil {
			c.Logger().Error("a channel's message failed", "topic", c.topic, "event", m.Event, "error", err)
		}
		m.Fail(err)
	}
}

// recoverPanic is deferred around the code of the channel's Kind, whatever goroutine runs it: a worker, a writer of the pool,
// a transport's reader or a request. A panic there is logged with its stack and ends this channel; the client joins again.
// The socket, its other channels and the process go on. attrs say what was being done.
func (c *Channel) recoverPanic(attrs ...any) {
	p := recover()
	if p == nil {
		return
	}
	c.Logger().With(attrs...).Error("a channel crashed", "topic", c.topic, "panic", p, "stack", string(debug.Stack()))
	c.Crash()
}

func (c *Channel) callHandler(ctx context.Context, m *Message) error {
	if m.Event == eventAccessToken {
		return c.renewToken(ctx, m)
	}
	if err := c.takeRate(m); err != nil {
		return err
	}
	return c.handler.Handle(ctx, m)
}

// leave ends the channel at the client's wish: the reply, then phx_close.
func (c *Channel) leave(ref json.RawMessage) {
	s := c.socket
	reply := textFrame(func(dst []byte) []byte {
		return phoenix.AppendReply(dst, s.version, c.pushRef, ref, c.topic, "ok", []byte("{}"))
	})
	c.end(endLeft, reply)
}

// end ends the channel once, and tells the client how, after the frames of the reply.
func (c *Channel) end(how ending, reply ...frame) {
	s := c.socket
	s.mu.Lock()
	if c.state != joined {
		s.mu.Unlock()
		return
	}
	inbox := c.overLocked()
	s.postLocked(reply...)
	if f := c.endFrame(how); f != nil {
		s.postLocked(f)
	}
	s.redispatchLocked(inbox)
	working := c.working
	s.mu.Unlock()
	s.transport.notify()
	c.release(how)
	if !working {
		c.notifyLeaver()
	}
	c.startWaiting()
}

// endAfterMessage ends the channel because one of its feeds has said all. A message that the worker has is answered before: it may be what ended the
// stream, and to a channel that is over no answer goes out.
func (c *Channel) endAfterMessage() {
	s := c.socket
	s.mu.Lock()
	c.sourceEnded = true
	asked := c.handling
	s.mu.Unlock()
	if !asked {
		c.end(endStopped)
	}
}

// overLocked takes the channel off its socket: nothing more of it goes out. It returns what the channel has not handled. Socket.mu is held.
func (c *Channel) overLocked() (inbox []phoenix.Message) {
	c.state = ended
	c.ended.Store(true)
	c.socket.removeLocked(c)
	if c.cancel != nil {
		c.cancel()
	}
	for i := range c.inbox {
		c.socket.uncountLocked(&c.inbox[i])
	}
	inbox = c.inbox
	c.inbox, c.beforeReply = nil, nil
	return inbox
}

// endFrame is the last frame of a channel, or nil.
func (c *Channel) endFrame(how ending) frame {
	event, payload := phoenix.EventClose, "{}"
	switch how {
	case endCrashed:
		event, payload = phoenix.EventError, `{"reason":"channel_crash"}`
	case endReduced:
		event, payload = phoenix.EventError, `{"reason":"rights_changed"}`
	case endForbidden:
		payload = `{"reason":"forbidden"}`
	case endLeft, endReplaced, endStopped:
	default:
		return nil
	}
	return textFrame(func(dst []byte) []byte {
		return phoenix.AppendText(dst, c.socket.version, c.joinRef, c.joinRef, c.topic, event, []byte(payload))
	})
}

// release gives back what the channel held in the hub.
func (c *Channel) release(how ending) {
	s := c.socket
	s.mu.Lock()
	feeds := c.feeds
	c.feeds = nil
	s.mu.Unlock()
	for _, f := range feeds {
		f.source.close()
	}
	c.endPresence(how)
}

// notifyLeaver tells the handler, if it wants to know.
func (c *Channel) notifyLeaver() {
	defer c.recoverPanic("event", phoenix.EventClose)
	if l, ok := c.handler.(Leaver); ok {
		l.Left()
	}
}
