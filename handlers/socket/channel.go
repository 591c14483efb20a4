package socket

import (
	"context"
	"encoding/json"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
)

// Channel is one client's join of one topic, as its Kind sees it. Its methods may be called from any goroutine. After
// the channel has ended they do nothing.
type Channel struct {
	socket  *Socket
	topic   string
	joinRef json.RawMessage // of the join, as received; nil: null
	ref     json.RawMessage // of the join
	pushRef json.RawMessage // join_ref of its pushes: the join's ref where the join had no join_ref
	route   *Route          // nil for requests to the socket itself

	params     json.RawMessage // nil once the Kind has decided
	unfinished []log.Place     // what the join's "after" says about streams; used by the join

	// Set by the join, constant afterwards.
	handler   Handler
	rewriter  Rewriter
	client    string // the client's stable name
	named     bool   // the client gave the name
	after     string // the position to resume from; "": the tail
	positions bool   // the client asked for positions
	response  map[string]any

	// How far the client has got. Set by the join, then used by the goroutine that writes.
	places log.Places

	ended atomic.Bool

	// Guarded by Socket.mu.
	state         channelState
	inbox         []phoenix.Message // messages received while the worker was busy
	joins         int               // number of joins in the inbox
	working       bool
	handling      bool               // the worker is handling a message
	sourceEnded   bool               // a feed is exhausted; the channel ends after the message being handled
	cancel        context.CancelFunc // of the worker's context
	beforeReply   []frame            // pushes buffered until the reply to the join
	feeds         []*feed
	replaced      *Channel // the channel that this join replaces
	awaitsRelease bool     // the join waits until the replaced channel is released

	grants []grant // rights granted during the join; constant once joined

	presence *hub.Presence // nil: not tracked
	watching bool          // the client receives presence events; set by the join
	fleeting bool          // the presence ends with the connection: no client returns to its key

	topicSource *topicSource // of the last SubscribeFrom; set by the join
	topicFeed   log.Waker    // its feed
}

type channelState uint8

const (
	joining channelState = iota
	joined
	ended
)

// ending is the reason why a channel ended.
type ending uint8

const (
	endLeft      ending = iota // the client left
	endReplaced                // a newer join replaced it
	endStopped                 // the Kind stopped it; the client does not join again
	endCrashed                 // the client gets phx_error and joins again
	endRefused                 // the join was refused
	endClosed                  // the client closed the socket
	endBroken                  // the socket's connection was lost
	endForbidden               // the refreshed token does not allow the channel
	endReduced                 // the refreshed token allows less than the join was granted; the client joins again
)

// Topic returns the topic as the client named it.
func (c *Channel) Topic() string { return c.topic }

// User returns the client's user.
func (c *Channel) User() string { return c.Identity().User }

// Identity returns the identity in the client's token.
func (c *Channel) Identity() *rights.Identity { return c.socket.identity() }

// Client returns the stable name of the client: the join's "client_id", else a name that is valid for this socket only.
func (c *Channel) Client() string { return c.client }

// Hub returns the hub.
func (c *Channel) Hub() *hub.Hub { return c.socket.server.Hub }

// Logger returns the server's logger.
func (c *Channel) Logger() *slog.Logger { return c.socket.server.Logger }

// Authorize reports whether the client may do a on a topic. A right granted during Join is checked again when the
// client refreshes its token; if it is refused then, the channel ends. A right granted after Join is not checked again.
// Errors are rights.Authorizer's.
func (c *Channel) Authorize(ctx context.Context, topic string, a rights.Action) error {
	err := c.socket.server.Authorizer.Authorize(ctx, c.Identity(), topic, a)
	if err == nil {
		c.recordGrant(topic, a)
	}
	return err
}

// MayAnywhere reports whether the client may do a on at least one topic. Errors are rights.Authorizer's.
func (c *Channel) MayAnywhere(ctx context.Context, a rights.Action) error {
	return rights.AuthorizeAnywhere(ctx, c.socket.server.Authorizer, c.Identity(), a)
}

// MayRead reports whether the client may read a stream. As with Authorize, a right granted during Join is checked
// again. Errors: errs.ErrNotFound if it may not.
func (c *Channel) MayRead(ctx context.Context, s *hub.Stream) error {
	err := hub.AuthorizeRead(ctx, c.socket.server.Authorizer, c.Identity(), s)
	if err == nil && s.Owner != c.User() {
		c.recordGrant(s.RightsTopic(), rights.ActionSubscribe)
	}
	return err
}

// MayCancel reports whether the client may cancel a stream. Errors: errs.ErrForbidden if it may not.
func (c *Channel) MayCancel(ctx context.Context, s *hub.Stream) error {
	return hub.AuthorizeCancel(ctx, c.socket.server.Authorizer, c.Identity(), s)
}

// Set adds a member to the reply to the join.
func (c *Channel) Set(name string, value any) {
	if c.response == nil {
		c.response = make(map[string]any)
	}
	c.response[name] = value
}

// Push sends an event to this client only. payload must encode as a JSON object.
func (c *Channel) Push(event string, payload any) {
	c.send(textFrame(func(dst []byte) []byte {
		return phoenix.AppendText(dst, c.socket.version, c.pushRef, nil, c.topic, event, encode(payload))
	}))
}

// PushBytes sends an event with a binary payload to this client only. Transports without binary frames send {"bytes":
// BASE64}.
func (c *Channel) PushBytes(event string, payload []byte) {
	if c.socket.binary {
		buf := frameBuffer(len(payload))
		if buf, err := phoenix.AppendBinaryPush(buf, unquoteRef(c.pushRef), c.topic, event, payload); err == nil {
			c.send(seal(buf, opBinary))
			return
		}
	}
	c.Push(event, map[string][]byte{"bytes": payload})
}

// Publish publishes an event as the client's user. It does not check the user's rights. Errors are hub.Publish's.
func (c *Channel) Publish(topic string, in hub.EventInput) (hub.Published, error) {
	out, err := c.Hub().Publish(topic, c.User(), []hub.EventInput{in})
	if err != nil {
		return hub.Published{}, err
	}
	return out[0], nil
}

// Stop ends the channel permanently: the client gets phx_close and does not join again.
func (c *Channel) Stop() { c.end(endStopped) }

// Crash ends the channel temporarily: the client gets phx_error and joins again.
func (c *Channel) Crash() { c.end(endCrashed) }

// send appends a frame to the first lane, or buffers it until the reply to the join has been sent.
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

// work is the channel's worker goroutine: it runs the join, then handles the messages one after another, and ends when
// the inbox is empty.
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

// take returns the next message, or ends the worker if there is none. The previous message has been answered.
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

// handle dispatches a message of a joined channel, on the channel's worker. It also starts a join that was queued
// behind the first.
func (c *Channel) handle(ctx context.Context, m *phoenix.Message) {
	switch {
	case m.Event == phoenix.EventJoin:
		c.socket.replace(c, m)
	case m.JoinRef != nil && !sameRef(m.JoinRef, c.joinRef):
		// of an earlier join: ignored without a reply
	case m.Event == phoenix.EventLeave:
		c.leave(m.Ref)
	default:
		c.serve(ctx, &Message{Event: m.Event, Payload: m.Payload, Bytes: m.Bytes, channel: c, ref: m.Ref})
	}
}

// sameRef compares two refs as JSON values: 1 and "1" differ, but "é" equals its escaped form. The refs of binary
// frames are never escaped.
func sameRef(a, b json.RawMessage) bool {
	return string(a) == string(b) || isString(a) && isString(b) && unquoteRef(a) == unquoteRef(b)
}

func isString(ref json.RawMessage) bool { return len(ref) > 0 && ref[0] == '"' }

// serve runs the handler for a message, and replies with the handler's error if there is one. A panic ends the channel.
func (c *Channel) serve(ctx context.Context, m *Message) {
	defer c.recoverPanic("event", m.Event)
	if err := c.callHandler(ctx, m); err != nil {
		if isInternal(err) && ctx.Err() == nil {
			c.Logger().Error("a channel's message failed", "topic", c.topic, "event", m.Event, "error", err)
		}
		m.Fail(err)
	}
}

// recoverPanic is deferred around code of the channel's Kind, in whatever goroutine runs it: a worker, a writer of the
// pool, a transport's reader or a request. It logs the panic with its stack and ends this channel; the client joins
// again. The socket, its other channels and the process continue. attrs are added to the log line.
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
		return c.refreshToken(ctx, m)
	}
	invalid := m.takeReserved()
	if err := c.admit(m); err != nil {
		return err
	}
	if invalid != nil {
		return invalid
	}
	return c.handler.Handle(ctx, m)
}

// leave ends the channel at the client's request: it sends the reply, then phx_close.
func (c *Channel) leave(ref json.RawMessage) {
	s := c.socket
	reply := textFrame(func(dst []byte) []byte {
		return phoenix.AppendReply(dst, s.version, c.pushRef, ref, c.topic, "ok", []byte("{}"))
	})
	c.end(endLeft, reply)
}

// end ends the channel once. It sends the reply's frames, then the frame that tells the client why the channel ended.
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

// endAfterMessage ends the channel because one of its feeds is exhausted. If the worker is handling a message, the
// channel ends after its reply: that message may have ended the stream, and an ended channel sends no replies.
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

// overLocked removes the channel from its socket, so that nothing more of it is sent. It returns the messages that were
// not handled. Socket.mu is held.
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

// endFrame returns the last frame of a channel, or nil if the client gets none.
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

// release closes the channel's readers and its presence in the hub.
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

// notifyLeaver calls the handler's Left, if it has one.
func (c *Channel) notifyLeaver() {
	defer c.recoverPanic("event", phoenix.EventClose)
	if l, ok := c.handler.(Leaver); ok {
		l.Left()
	}
}
