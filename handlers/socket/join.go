package socket

import (
	"context"
	"encoding/json"
	"errors"
	"runtime/debug"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// joinParams are the join parameters that mean the same for every kind of channel. An absent or null After means none.
type joinParams struct {
	After    *string `json:"after"`
	ClientID string  `json:"client_id"`
}

var errJoinCrashed = Refuse("join crashed")

// join runs the Kind's Join, replies, and then sends what was buffered meanwhile.
func (c *Channel) join(ctx context.Context) {
	s := c.socket
	asked := s.identity()
	reply, err := c.runJoin(ctx)
	c.Hub().CountLimit(err)
	s.mu.Lock()
	if c.state == ended { // the socket has ended
		s.mu.Unlock()
		c.release(endClosed)
		return
	}
	if err != nil {
		s.postLocked(reply)
		s.postLocked(c.replacedFrames()...)
		s.redispatchLocked(c.overLocked())
		s.mu.Unlock()
		s.transport.notify()
		c.release(endRefused)
		c.startWaiting()
		return
	}
	c.state = joined
	s.postLocked(reply)
	s.postLocked(c.replacedFrames()...)
	s.postLocked(c.beforeReply...)
	c.beforeReply, c.response = nil, nil
	feeds, refreshed := c.feeds, s.identity() != asked
	s.mu.Unlock()
	for _, f := range feeds { // their data has waited for the reply
		f.Signal()
	}
	s.transport.notify()
	if refreshed {
		c.reauthorizeAfterJoin(ctx)
	}
}

// runJoin calls the Kind's Join and encodes the reply. Encoding may call code of the Kind, too: a MarshalJSON or an
// Error method.
func (c *Channel) runJoin(ctx context.Context) (reply frame, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.Logger().Error("a join crashed", "topic", c.topic, "panic", p, "stack", string(debug.Stack()))
			reply, err = c.joinReply("error", Reason(errJoinCrashed)), errJoinCrashed
		}
	}()
	if err := c.callJoin(ctx); err != nil {
		return c.joinReply("error", Reason(err)), err
	}
	return c.joinReply("ok", c.response), nil
}

// callJoin reads the join's parameters, counts the join against the rate limit, and calls the Kind's Join.
func (c *Channel) callJoin(ctx context.Context) error {
	params, err := c.readParams()
	if err != nil {
		return err
	}
	if err := c.socket.server.Rates.Take(ratelimit.Joins, ratelimit.Of(c.Identity()), 1); err != nil {
		return err
	}
	h, err := c.route.Kind.Join(ctx, c, params)
	if err != nil {
		if isInternal(err) && ctx.Err() == nil {
			c.Logger().Error("a join failed", "topic", c.topic, "error", err)
		}
		return err
	}
	c.handler = h
	c.rewriter, _ = h.(Rewriter)
	c.addPosition()
	c.pushPresenceState()
	return nil
}

// readParams reads the common members of the join's parameters. Parameters that are not an object have none.
func (c *Channel) readParams() (json.RawMessage, error) {
	raw := c.params
	c.params = nil
	var p joinParams
	if err := json.Unmarshal(raw, &p); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) && kind.Field != "" {
			return nil, errs.Invalid(kind.Field, "must be a string; got %s", kind.Value)
		}
		p = joinParams{}
	}
	c.client = c.socket.id
	if p.ClientID != "" {
		if err := hub.ValidName("client_id", p.ClientID); err != nil {
			return nil, err
		}
		c.client, c.named = p.ClientID, true
	}
	if p.After != nil {
		c.after, c.positions = *p.After, true
	}
	return raw, nil
}

func (c *Channel) joinReply(status string, response any) frame {
	if m, ok := response.(map[string]any); ok && m == nil {
		response = nil
	}
	return textFrame(func(dst []byte) []byte {
		return phoenix.AppendReply(dst, c.socket.version, c.joinRef, c.ref, c.topic, status, encode(response))
	})
}

// replacedFrames returns the close of the channel that this join replaces. It follows the join's reply.
func (c *Channel) replacedFrames() []frame {
	if c.replaced == nil {
		return nil
	}
	f := c.replaced.endFrame(endReplaced)
	c.replaced = nil
	return []frame{f}
}

// redispatchLocked dispatches the unhandled messages of a channel that ended as if they arrived now, so that each gets
// a reply. The first join among them takes the messages behind it, and waits until the ended channel is released. s.mu
// is held.
func (s *Socket) redispatchLocked(inbox []phoenix.Message) {
	for i := range inbox {
		m := &inbox[i]
		if m.Event == phoenix.EventJoin && m.BadTopic == nil {
			s.beginLocked(m, nil, true, inbox[i+1:])
			return
		}
		s.postLocked(s.notJoined(m))
	}
}

// startWaiting starts the join that redispatchLocked found, if any.
func (c *Channel) startWaiting() {
	s := c.socket
	s.mu.Lock()
	s.startWaitingLocked(s.findLocked(&phoenix.Message{Topic: c.topic}))
	s.mu.Unlock()
}
