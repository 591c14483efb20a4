package redis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/duckwire/duckwire/hub/errs"
)

// Messages between nodes are sent in pieces, so that others on the bus are not delayed, and so that Redis never
// buffers more for a node than it accepts: Redis closes a connection that lags too far behind
// (client-output-buffer-limit). A message of at most shortBytes is one piece without acknowledgement. Each piece of a
// longer message is acknowledged before the next one is sent, and at most maxInFlight pieces are on their way from one
// node to another.
const (
	shortBytes  = 8 << 10
	pieceBytes  = 256 << 10
	maxInFlight = 8
)

// transferKey identifies a message that is being sent or received.
type transferKey struct {
	kind frameKind // requestFrame, answerFrame or broadcastFrame
	peer string    // the other node
	id   uint64
}

// transfers are the messages that are being sent and received.
type transfers struct {
	mu       sync.Mutex
	outgoing map[transferKey]chan *frame // delivers control frames to the sender's goroutine
	windows  map[string]*window          // by node
	incoming map[transferKey]*partialMessage

	requests budget // bytes of own requests without an answer yet
	answers  budget // bytes of answers that are being sent
	received budget // bytes of messages that are being received, and of requests in progress
}

// partialMessage is a message whose last piece has not been received.
type partialMessage struct {
	body []byte
	size int
	last time.Time // when the last piece was received
}

// window limits the pieces that are on their way to one node. It exists while somebody sends to that node.
type window struct {
	users int
	slots chan struct{}
}

func newTransfers(limit int64) transfers {
	return transfers{
		outgoing: make(map[transferKey]chan *frame), incoming: make(map[transferKey]*partialMessage),
		windows:  make(map[string]*window),
		requests: budget{limit: limit, name: "bytes of requests to other nodes under way"},
		answers:  budget{limit: limit, name: "bytes of answers to other nodes under way"},
		received: budget{limit: limit, name: "bytes of other nodes' messages under way"},
	}
}

// budget limits the bytes in use at one time. A single message is accepted even if it exceeds the limit. Short
// messages do not count: their number is limited (maxCalls), and they must pass when there are many long ones.
type budget struct {
	name  string
	limit int64

	mu   sync.Mutex
	used int64
}

func (b *budget) acquire(n int) error {
	if n <= shortBytes {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used > 0 && b.used+int64(n) > b.limit {
		return overLimit(b.name, b.limit)
	}
	b.used += int64(n)
	return nil
}

func (b *budget) release(n int) {
	if n <= shortBytes {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= int64(n)
}

// overLimit is the error for a message that exceeds a budget or a number at the moment. It matches
// errs.ErrUnavailable.
func overLimit(name string, limit int64) error {
	return &errs.LimitError{Kind: errs.ErrUnavailable, Name: name, Limit: limit, Retry: time.Second}
}

// publish publishes a frame, and returns how many subscribers the Redis server that took it has.
func (s *Store) publish(channel string, f *frame) (receivers int64, err error) {
	message := rueidis.BinaryString(f.encode())
	receivers, err = s.do(s.client.B().Publish().Channel(channel).Message(message).Build()).AsInt64()
	if err != nil {
		return 0, unavailable(err)
	}
	return receivers, nil
}

// send sends a message to a node. It returns when the node has received it, or for a short message, when Redis has.
func (s *Store) send(ctx context.Context, node string, kind frameKind, id uint64, body []byte) error {
	f := &frame{kind: kind, from: s.Options.Node, id: id, size: uint64(len(body)), piece: body}
	if len(body) <= shortBytes {
		return s.sendPiece(node, f)
	}
	key, control := transferKey{kind, node, id}, make(chan *frame, 1)
	window := s.transfers.startSending(key, control)
	defer s.transfers.stopSending(key, window)
	for at := 0; at < len(body); at += pieceBytes {
		f.at, f.piece = uint64(at), body[at:min(at+pieceBytes, len(body))]
		if err := s.sendConfirmed(ctx, node, f, window, control); err != nil {
			// If this frame is lost, the receiver discards the message after a timeout.
			_, _ = s.publish(s.nodeChannel(node), controlFrame(abortFrame, kind, s.Options.Node, id, 0, ""))
			return err
		}
	}
	return nil
}

func (s *Store) sendPiece(node string, f *frame) error {
	receivers, err := s.publish(s.nodeChannel(node), f)
	if err == nil && receivers == 0 && !s.cluster { // a server of a cluster counts only its own subscribers
		err = fmt.Errorf("node %s is not there: %w", node, errs.ErrUnavailable)
	}
	return err
}

// sendConfirmed sends a piece, and waits for the acknowledgement.
func (s *Store) sendConfirmed(
	ctx context.Context, node string, f *frame, window *window, control <-chan *frame,
) error {
	timer := time.NewTimer(s.Timeout)
	defer timer.Stop()
	errTimeout := fmt.Errorf("node %s does not take what it is sent: %w", node, errs.ErrUnavailable)
	select {
	case window.slots <- struct{}{}:
		defer func() { <-window.slots }()
	case <-timer.C:
		return errTimeout
	case <-ctx.Done():
		return errTimeout
	}
	if err := s.sendPiece(node, f); err != nil {
		return err
	}
	for {
		select {
		case w := <-control:
			if w.kind == rejectFrame {
				return fmt.Errorf("node %s: %s: %w", node, w.piece, errs.ErrUnavailable)
			}
			if w.at >= f.at+uint64(len(f.piece)) {
				return nil
			}
		case <-timer.C:
			return errTimeout
		case <-ctx.Done():
			return errTimeout
		case <-s.ctx.Done():
			return errTimeout
		}
	}
}

func (p *transfers) startSending(key transferKey, control chan *frame) *window {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outgoing[key] = control
	w := p.windows[key.peer]
	if w == nil {
		w = &window{slots: make(chan struct{}, maxInFlight)}
		p.windows[key.peer] = w
	}
	w.users++
	return w
}

func (p *transfers) stopSending(key transferKey, w *window) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.outgoing, key)
	if w.users--; w.users == 0 {
		delete(p.windows, key.peer)
	}
}

// confirm passes a control frame to the goroutine that sends the message.
func (p *transfers) confirm(w *frame) {
	p.mu.Lock()
	control := p.outgoing[transferKey{w.about(), w.from, w.id}]
	p.mu.Unlock()
	if control == nil {
		return
	}
	select {
	case control <- w:
	default: // not full: only one piece at a time waits for an acknowledgement
	}
}

// add adds a piece to its message. If it is the last one, add returns the whole message, whose bytes the caller must
// release from the budget received. If a piece is missing, or the budget is exceeded, the message is discarded.
func (p *transfers) add(f *frame) (body []byte, complete bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := transferKey{f.kind, f.from, f.id}
	if f.at == 0 {
		p.discardLocked(key) // from an earlier attempt
		if err := p.received.acquire(int(f.size)); err != nil {
			return nil, false, err
		}
		p.incoming[key] = &partialMessage{size: int(f.size), body: make([]byte, 0, f.size)}
	}
	c := p.incoming[key]
	if c == nil || int(f.at) != len(c.body) || len(c.body)+len(f.piece) > c.size {
		p.discardLocked(key)
		return nil, false, errPiece
	}
	c.body, c.last = append(c.body, f.piece...), time.Now()
	if len(c.body) < c.size {
		return nil, false, nil
	}
	delete(p.incoming, key)
	return c.body, true, nil
}

var errPiece = fmt.Errorf("a piece of it is missing: %w", errs.ErrUnavailable)

// discard discards a partial message.
func (p *transfers) discard(key transferKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.discardLocked(key)
}

func (p *transfers) discardLocked(key transferKey) {
	if c := p.incoming[key]; c != nil {
		delete(p.incoming, key)
		p.received.release(c.size)
	}
}

// sweep discards messages of which no piece has been received since a moment.
func (p *transfers) sweep(since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, c := range p.incoming {
		if c.last.Before(since) {
			p.discardLocked(key)
		}
	}
}
