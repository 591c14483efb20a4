package socket

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
)

// Socket is one client's session, independent of its transport.
type Socket struct {
	// Constant.
	server    *Server
	id        string
	version   phoenix.Version
	binary    bool // both transport and version have binary frames
	parts     bool // the client takes long frames in parts (parts.go)
	transport transport
	via       hub.Transport

	currentIdentity atomic.Pointer[rights.Identity] // see identity
	warnAt          atomic.Int64                    // when to warn of the token's expiry, in Unix milliseconds; 0: not
	refreshing      sync.Mutex                      // one refresh of the token at a time

	mu             sync.Mutex
	channels       []*Channel
	ownRequests    *Channel // the channel of the topic phoenix, for requests to the socket itself; nil: not used yet
	pulse          []int    // indexes in urgent of the replies to heartbeats
	urgent         []frame  // the first lane
	dirty          []*feed  // the second lane: feeds with data
	backlog        int      // bytes in the first lane and in the channels' inboxes
	over           bool
	readingStopped bool          // Receive fails
	belowLimit     chan struct{} // closed when the backlog has fallen below its limit; nil: nobody waits
}

// transport carries a socket's frames. Its methods may be called from any goroutine and do not block.
type transport interface {
	// notify tells the transport that next may have more frames.
	notify()
	// close ends the connection with a WebSocket close code, and returns false if it was being closed already. The
	// transport then ends the socket.
	close(code int, reason string) bool
	// abort ends the connection without a close code.
	abort()
	// tick is called about once a second.
	tick(now time.Time)
}

// maxBacklog bounds, in bytes, what one client's messages can make the server buffer: messages queued for its channels,
// and frames to be sent. Above it nothing more is read from the client.
const maxBacklog = 1 << 20

// abortBacklog is the backlog, in bytes, at which a client that does not read what its channels push is disconnected.
const abortBacklog = 16 << 20

// Receive decodes and dispatches one message of the client. If whole is false, the message is above FrameBytes, and data
// is its beginning. A message that is too large, or is none of the protocol, is answered with an error, as far as it can
// be read. Receive blocks while the client's backlog is above its limit. Errors: phoenix.ErrGarbage, and on a WebSocket
// phoenix.ErrUTF8 (RFC 6455 §8.1), after which the socket must be closed; ctx's; errs.ErrClosed after the socket's end.
func (s *Socket) Receive(ctx context.Context, data []byte, binary, whole bool) error {
	m, fault := s.decode(data, binary, whole)
	if errors.Is(fault, phoenix.ErrGarbage) || errors.Is(fault, phoenix.ErrUTF8) && s.via == hub.ViaWebSocket {
		return fault
	}
	if err := s.waitForRoom(ctx); err != nil {
		return err
	}
	if fault != nil {
		s.refuse(&m, fault)
		return nil
	}
	m.Size = len(data)
	s.dispatch(&m)
	return nil
}

// decode decodes a message. With an error, it returns what could be read of its refs and its topic.
func (s *Socket) decode(data []byte, binary, whole bool) (m phoenix.Message, err error) {
	switch {
	case binary:
		m, err = phoenix.DecodeBinary(data)
	case whole:
		m, err = phoenix.DecodeText(s.version, data)
	default:
		m = phoenix.DecodeHead(data)
	}
	switch {
	case !whole:
		limits := s.server.Hub.Limits()
		err = limits.PayloadTooLarge("")
	case binary && s.version == phoenix.V1:
		err = errBinaryV1
	}
	return m, err
}

// waitForRoom blocks until the backlog is below its limit.
func (s *Socket) waitForRoom(ctx context.Context) error {
	for {
		s.mu.Lock()
		if s.over || s.readingStopped {
			s.mu.Unlock()
			return errs.ErrClosed
		}
		if s.backlog < maxBacklog {
			s.mu.Unlock()
			return nil
		}
		if s.belowLimit == nil {
			s.belowLimit = make(chan struct{})
		}
		eased := s.belowLimit
		s.mu.Unlock()
		select {
		case <-eased:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stopReading makes Receive fail from now on, including a blocked call. Transports call it when their connection has
// ended.
func (s *Socket) stopReading() {
	s.mu.Lock()
	s.readingStopped = true
	s.reduceBacklogLocked(0)
	s.mu.Unlock()
}

// reduceBacklogLocked subtracts n from the backlog. s.mu is held.
func (s *Socket) reduceBacklogLocked(n int) {
	s.backlog -= n
	if s.belowLimit != nil && (s.backlog < maxBacklog || s.over || s.readingStopped) {
		close(s.belowLimit)
		s.belowLimit = nil
	}
}

// dispatch routes a message as handle_in in Phoenix's lib/phoenix/socket.ex does: a heartbeat is answered at once; a
// join starts a channel or replaces the one that has the topic; other messages go to the topic's channel, and are
// refused if it has none. Messages for a channel whose worker is busy are queued in order.
func (s *Socket) dispatch(m *phoenix.Message) {
	if m.Topic == phoenix.TopicPhoenix && m.Event == phoenix.EventHeartbeat {
		s.answerHeartbeat(m)
		return
	}
	s.mu.Lock()
	c := s.findLocked(m)
	switch {
	case m.Topic == phoenix.TopicPhoenix && m.Event == eventAccessToken && c == nil && m.BadTopic == nil:
		m.JoinRef = nil
		s.queueLocked(s.ownRequestsLocked(), m)
	case c == nil && m.Event == phoenix.EventJoin && m.BadTopic == nil:
		s.beginLocked(m, nil, false, nil)
	case c == nil:
		s.postLocked(s.notJoined(m))
	case m.Event == phoenix.EventJoin && c.state == joined && c.joins == 0:
		s.mu.Unlock()
		s.replace(c, m)
		return
	default:
		s.queueLocked(c, m)
	}
	s.mu.Unlock()
	s.transport.notify()
}

// answerHeartbeat queues the reply to a heartbeat. For a slow client it goes before what waits, and between frames that
// are taken already (Socket.group): official clients close a connection whose heartbeat has no reply in 30 seconds.
func (s *Socket) answerHeartbeat(m *phoenix.Message) {
	reply := textFrame(func(dst []byte) []byte {
		return phoenix.AppendReply(dst, s.version, nil, m.Ref, phoenix.TopicPhoenix, "ok", []byte("{}"))
	})
	s.mu.Lock()
	s.pulse = append(s.pulse, len(s.urgent))
	s.postLocked(reply)
	s.mu.Unlock()
	s.transport.notify()
}

// findLocked returns the live channel of the message's topic, or nil. s.mu is held.
func (s *Socket) findLocked(m *phoenix.Message) *Channel {
	if m.BadTopic != nil {
		return nil
	}
	for _, c := range s.channels {
		if c.topic == m.Topic {
			return c
		}
	}
	return nil
}

// queueLocked queues a message for its channel's worker, and starts the worker if it does not run.
func (s *Socket) queueLocked(c *Channel, m *phoenix.Message) {
	c.inbox = append(c.inbox, *m)
	if m.Event == phoenix.EventJoin {
		c.joins++
	}
	s.backlog += cost(m)
	s.startLocked(c)
}

func (s *Socket) startLocked(c *Channel) {
	if c.working || c.awaitsRelease {
		return
	}
	c.working = true
	if !s.server.tryGo(c.work) {
		c.working = false // the server is closing: replies would not be sent
	}
}

// cost is a queued message's share of the backlog: its whole frame, which it keeps in memory.
func cost(m *phoenix.Message) int { return m.Size + 256 }

// uncountLocked removes a message that has left its inbox from the backlog. s.mu is held.
func (s *Socket) uncountLocked(m *phoenix.Message) { s.reduceBacklogLocked(cost(m)) }

// notJoined returns the reply to a message for a topic that is not joined: ok to a leave, because the client is where
// it wants to be, else "unmatched topic".
func (s *Socket) notJoined(m *phoenix.Message) frame {
	if m.Event == phoenix.EventLeave && m.BadTopic == nil {
		return textFrame(func(dst []byte) []byte {
			return phoenix.AppendReply(dst, s.version, m.JoinRef, m.Ref, m.Topic, "ok", []byte("{}"))
		})
	}
	return s.unmatched(m)
}

func (s *Socket) unmatched(m *phoenix.Message) frame {
	return textFrame(func(dst []byte) []byte { return phoenix.AppendUnmatched(dst, s.version, m.Ref, topicOf(m)) })
}

// beginLocked begins a join. old is the channel that it replaces, rest are the messages queued behind it. waits means
// that another channel of the topic must be released first; then startWaitingLocked starts the join. s.mu is held.
func (s *Socket) beginLocked(m *phoenix.Message, old *Channel, waits bool, rest []phoenix.Message) {
	route := s.server.Routes.Find(m.Topic)
	c := &Channel{
		socket: s, topic: m.Topic, joinRef: slices.Clone(m.JoinRef), ref: slices.Clone(m.Ref), route: route, params: m.Payload,
		replaced: old, awaitsRelease: waits,
	}
	if c.pushRef = c.joinRef; c.pushRef == nil {
		c.pushRef = c.ref
	}
	if m.Bytes != nil {
		c.params = nil
	}
	switch {
	case route == nil:
		s.postLocked(s.unmatched(m))
	case len(s.channels) >= s.server.ChannelsPerSocket:
		s.postLocked(c.joinReply("error", json.RawMessage(`{"reason":"too many channels joined"}`)))
	default:
		s.channels = append(s.channels, c)
		for i := range rest {
			s.queueLocked(c, &rest[i])
		}
		s.startLocked(c)
		return
	}
	s.postLocked(c.replacedFrames()...)
	for i := range rest {
		s.postLocked(s.notJoined(&rest[i]))
	}
}

// replace ends a channel whose topic is joined again, and begins the new join. The old channel's close follows
// the new join's reply.
func (s *Socket) replace(c *Channel, m *phoenix.Message) {
	s.mu.Lock()
	if c.state != joined {
		s.mu.Unlock()
		s.dispatch(m)
		return
	}
	var rest []phoenix.Message
	if c.joins > 0 { // this join was queued: the messages queued behind it belong to it
		rest = slices.Clone(c.inbox)
	}
	working := c.working
	c.overLocked()
	s.beginLocked(m, c, true, rest)
	s.mu.Unlock()
	s.transport.notify()
	c.release(endReplaced)
	if !working {
		c.notifyLeaver()
	}
	s.mu.Lock()
	s.startWaitingLocked(s.findLocked(m))
	s.mu.Unlock()
}

// startWaitingLocked starts the join that waited for the release of the previous channel, if there is one. s.mu is
// held.
func (s *Socket) startWaitingLocked(next *Channel) {
	if next != nil && next.awaitsRelease && next.state == joining {
		next.awaitsRelease = false
		s.startLocked(next)
	}
}

// removeLocked removes a channel from the list. s.mu is held.
func (s *Socket) removeLocked(c *Channel) {
	if i := slices.Index(s.channels, c); i >= 0 {
		s.channels = slices.Delete(s.channels, i, i+1)
	}
}

// post appends frames to the first lane.
func (s *Socket) post(frames ...frame) {
	s.mu.Lock()
	s.postLocked(frames...)
	s.mu.Unlock()
	s.transport.notify()
}

func (s *Socket) postLocked(frames ...frame) {
	if s.over {
		return
	}
	for _, f := range frames {
		s.backlog += len(f)
	}
	s.urgent = append(s.urgent, frames...)
}

// end ends the session: its channels, and their readers and presence. how is endClosed or endBroken. Transports call
// it; a second call does nothing.
func (s *Socket) end(how ending) {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return
	}
	s.over = true
	channels := slices.Clone(s.channels)
	if s.ownRequests != nil {
		channels = append(channels, s.ownRequests)
	}
	s.urgent, s.pulse, s.dirty = nil, nil, nil
	idle := make([]bool, len(channels))
	for i, c := range channels {
		idle[i] = !c.working
		c.overLocked()
	}
	s.backlog = 0
	s.reduceBacklogLocked(0)
	s.mu.Unlock()
	for i, c := range channels {
		c.release(how)
		if idle[i] {
			c.notifyLeaver()
		}
	}
	s.server.leave(s)
}
