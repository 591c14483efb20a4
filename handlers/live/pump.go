package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/duckwire/duckwire/handlers/writers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// Feed turns what its readers have into the bytes of one response. Its methods append to dst. They are called by one
// goroutine at a time, but not always by the same one; a panic in them ends the response, and nothing else.
type Feed interface {
	// Next appends what there is to be sent. Where that is one piece that readers share, it returns the piece instead.
	// end says that nothing more will come.
	Next(dst []byte) (out []byte, piece Chunk, end bool)
	// Heartbeat appends a sign of life.
	Heartbeat(dst []byte, now time.Time) []byte
	// Bye appends a farewell that is not the stream's end, or nothing where the format has no such thing.
	Bye(dst []byte, reason string, retry time.Duration) []byte
}

// Options say what the client asked for, and what bounds the response. Heartbeat is needed.
type Options struct {
	Heartbeat    time.Duration // of silence, before a sign of life
	Pad          int           // bytes of padding at the beginning, for proxies that buffer
	Max          time.Duration // 0: no limit
	Expires      time.Time     // when the client's token ends; zero: never
	WriteTimeout time.Duration // how long the client may take no bytes; 0: no limit
	ThroughDrain bool          // the response goes on while the hub drains
	Via          hub.Transport // for statistics
}

// The reasons of the block bye (openapi.yaml: Bye). The first two are for Pump.End.
const (
	ByeUnauthorized = "unauthorized" // the token does not hold any more
	ByeDisconnected = "disconnected" // come back
	byeDrain        = "drain"        // the server stops: come back
	byeMax          = "max"          // the response has lasted for as long as it may
)

// pumpBuffer bounds what is shared, and what a pump keeps between writes (4 times as much), in bytes.
const pumpBuffer = 64 << 10

// Pump writes a feed until the feed ends, the client leaves, the token ends, or the server stops.
//
// Two kinds of goroutines write to the connection, and a writers.Turn says whose turn it is:
//
//   - The writers of the pool, which never wait for a client. They write what readers are woken for (Signal, Flush),
//     as long as the connection takes everything at once.
//   - The handler, which waits. It has the turn at the beginning and at the end, for heartbeats, and while the
//     client takes less than there is. Else it sleeps in rest. Without a pool, or a connection that can be written
//     to without waiting (HTTP/2, TLS), it has the turn always.
//
// These rules keep the response whole:
//
//  1. Only who has the turn calls the feed, writes, or uses the last group of fields below.
//  2. A wake-up is never lost. Signal takes the turn and hands the pump to the pool, or tells whoever has the turn
//     to look again before giving it back (Turn.Again). So every signal is followed by a look at the feed.
//  3. A writer of the pool that cannot finish (the client takes no more, the feed ended or panicked, the write
//     failed, the handler wants the turn) keeps the turn for the handler: it leaves what is left in handover and
//     sends to handed, which has room for one, so it does not wait. The handler writes handover.rest before anything
//     else: bytes keep their order.
//  4. The handler asks for the turn by wanted. Either nobody has it and Take succeeds, or a writer has it: Take then
//     tells that one to look again, it sees wanted, and sends to handed.
//  5. No write deadline is set while the pool may write: one that has passed would fail a write that does not wait.
//  6. Run ends with Turn.EndMine, so that no writer touches the pump after Run has returned.
type Pump struct {
	// Fixed.
	w       http.ResponseWriter
	rc      *http.ResponseController
	hub     *hub.Hub
	options Options
	wake    *log.Wake       // for the handler
	stop    time.Time       // when Options.Max is over; zero: never
	conn    net.Conn        // nil: everything passes through w
	raw     syscall.RawConn // of conn, for the pool
	pool    *writers.Pool   // nil: the handler writes everything

	// Used by all.
	turn   writers.Turn
	wanted atomic.Bool   // the handler waits for the turn
	handed chan struct{} // a writer gives the turn to the handler
	gone   atomic.Bool   // the request's context has ended
	ended  atomic.Value  // the reason, a string, that End was called with

	// Used by who has the turn.
	feed     Feed
	buf      []byte    // chunkRoom, and what is written next
	now      time.Time // read once a round, because reading the clock has a price
	due      time.Time // when the handler's timer fires
	written  time.Time // when bytes last went out
	deadline time.Time // of writes, as it is set on the connection; zero: none
	begun    bool      // net/http has sent the header: what follows may be written to conn
	direct   int64     // bytes written to conn
	handover handover
}

// New returns the pump of a response, whose turn the caller has. pool is one for all pumps of a server.
func New(w http.ResponseWriter, r *http.Request, h *hub.Hub, pool *writers.Pool, o Options) *Pump {
	p := &Pump{
		w: w, rc: http.NewResponseController(w), hub: h, options: o, wake: log.NewWake(), conn: directConn(w, r),
		handed: make(chan struct{}, 1),
	}
	p.turn.Take()
	if p.raw = writers.Raw(p.conn); p.raw != nil {
		p.pool = pool
	}
	if o.Max > 0 {
		p.stop = time.Now().Add(o.Max)
	}
	return p
}

// EndOnDrain ends the response when the hub begins to drain, until forget is called.
func (p *Pump) EndOnDrain() (forget func()) { return p.hub.OnDrain(p.wake) }

// handover is what a writer of the pool leaves to the handler.
type handover struct {
	rest  Chunk // that the client did not take
	end   bool  // the feed is at its end
	err   error
	panic error // what the feed panicked with, and its stack
}

// Signal implements log.Waker: the feed may have something.
func (p *Pump) Signal() {
	switch {
	case p.pool == nil:
		p.wake.Signal()
	case p.turn.Take():
		p.pool.Add(p)
	}
}

// End ends the response soon, with a farewell for that reason. It does not wait. The first reason counts.
func (p *Pump) End(reason string) {
	p.ended.CompareAndSwap(nil, reason)
	p.wake.Signal()
}

// Transport implements hub.Client.
func (p *Pump) Transport() hub.Transport { return p.options.Via }

// errNotWhole is returned where the body ends, but the format has no words to tell that the stream did not end well.
var errNotWhole = errors.New("the body must not look whole")

// Run writes what the feed has, until the end. It returns nil after a clean end, also where the client left. After
// an error the response is to be aborted (http.ErrAbortHandler), so that no client takes the body for the whole: a
// write failed, or the stream did not end well and the format cannot tell it. A panic in the feed becomes a panic
// of Run.
func (p *Pump) Run(ctx context.Context, f Feed) error {
	err := p.loop(ctx, f)
	if s, ok := f.(interface{ whole() bool }); ok && err == nil && !s.whole() {
		return errNotWhole
	}
	return err
}

// loop is what the handler does: flush, look whether it is time to leave or to send a heartbeat, rest.
func (p *Pump) loop(ctx context.Context, f Feed) error {
	defer p.count()
	defer context.AfterFunc(ctx, func() { p.gone.Store(true); p.wake.Signal() })()
	p.feed = f
	p.now = time.Now()
	p.written = p.now
	p.due = p.now.Add(p.sleep())
	timer := time.AfterFunc(p.sleep(), p.wake.Signal)
	defer timer.Stop()
	defer p.turn.EndMine()
	for {
		if end, err := p.flush(); end || err != nil {
			return err
		}
		if reason, retry := p.leave(); reason != "" {
			return p.write(f.Bye(p.room(), reason, retry))
		}
		if !p.now.Before(p.due) {
			if err := p.beat(f); err != nil {
				return err
			}
			p.due = p.now.Add(p.sleep())
			timer.Reset(p.sleep())
		}
		p.rest()
		if p.gone.Load() {
			return nil
		}
		p.now = time.Now()
	}
}

// rest gives the turn back, and returns with it when there is something for the handler to do.
func (p *Pump) rest() {
	if p.pool == nil {
		<-p.wake.C
		return
	}
	if !p.deadline.IsZero() { // rule 5
		p.deadline = time.Time{}
		_ = p.rc.SetWriteDeadline(p.deadline)
	}
	if p.turn.Again() {
		return
	}
	<-p.wake.C
	p.wanted.Store(true)
	if !p.turn.Take() {
		<-p.handed
	}
	p.wanted.Store(false)
}

// Flush implements writers.Job: it writes what the feed has, as far as the connection takes it at once.
func (p *Pump) Flush(y *writers.Try) {
	defer func() {
		if v := recover(); v != nil { // the handler panics with it, and what is around the handler answers
			p.handover.panic = fmt.Errorf("in a feed: %v\n%s", v, debug.Stack())
			p.handOver()
		}
	}()
	for {
		if p.wanted.Load() || !p.begun {
			p.handOver()
			return
		}
		p.now = time.Now()
		c, end := p.nextChunk()
		h := &p.handover
		if len(c) > 0 {
			p.written = p.now
			n, err := y.Write(p.raw, c)
			p.direct += int64(n)
			h.rest, h.err = c[n:], err
		}
		if h.end = end; end || h.err != nil || len(h.rest) > 0 {
			p.handOver()
			return
		}
		if !p.turn.Again() {
			return
		}
	}
}

// handOver gives the turn to the handler (rule 3).
func (p *Pump) handOver() {
	p.handed <- struct{}{}
	p.wake.Signal()
}

// nextChunk returns what the feed has, as one chunk.
func (p *Pump) nextChunk() (c Chunk, end bool) {
	buf, piece, end := p.feed.Next(p.room())
	if len(piece) > 0 {
		return piece, end
	}
	p.buf = slices.Grow(buf, len("\r\n"))
	return frameChunk(p.buf), end
}

// flush writes what a writer of the pool has left, and then what the feed has. Where the feed has more, its readers
// signal.
func (p *Pump) flush() (end bool, err error) {
	h := p.handover
	p.handover = handover{}
	switch {
	case h.panic != nil:
		panic(h.panic)
	case h.err != nil:
		return false, h.err
	}
	if err := p.send(h.rest); err != nil || h.end {
		return h.end, err
	}
	c, end := p.nextChunk()
	return end, p.send(c)
}

// room returns the buffer, with nothing behind its chunkRoom.
func (p *Pump) room() []byte {
	if cap(p.buf) < chunkRoom || cap(p.buf) > 4*pumpBuffer { // what a late reader needed does not stay in memory
		p.buf = make([]byte, chunkRoom, 512)
	}
	return p.buf[:chunkRoom]
}

// beat sends a heartbeat, if nothing has gone out for long enough.
func (p *Pump) beat(f Feed) error {
	if p.now.Sub(p.written) < p.options.Heartbeat {
		return nil
	}
	return p.write(f.Heartbeat(p.room(), p.now))
}

// write sends what stands behind the room of buf.
func (p *Pump) write(buf []byte) error {
	p.buf = slices.Grow(buf, len("\r\n"))
	return p.send(frameChunk(p.buf))
}

// send writes a chunk in one call, and waits for the client, up to a deadline. The deadline is moved at most once a
// second, because moving it costs more than copying the bytes.
func (p *Pump) send(c Chunk) error {
	if len(c) == 0 {
		return nil
	}
	if p.options.WriteTimeout > 0 && p.deadline.Sub(p.now) < p.options.WriteTimeout-time.Second {
		p.deadline = p.now.Add(p.options.WriteTimeout)
		_ = p.rc.SetWriteDeadline(p.deadline) // unsupported by test recorders only
	}
	p.written = p.now
	if p.conn != nil && p.begun {
		n, err := p.conn.Write(c)
		p.direct += int64(n)
		return err
	}
	p.begun = true
	if _, err := p.w.Write(c.body()); err != nil {
		return err
	}
	return p.rc.Flush()
}

// asked reports whether the feed may have more.
func (p *Pump) asked() bool {
	if p.pool == nil {
		return len(p.wake.C) > 0
	}
	return p.turn.Asked()
}

// count tells the access log how many bytes did not pass through it.
func (p *Pump) count() {
	if log, ok := p.w.(interface{ Sent(n int64) }); ok {
		log.Sent(p.direct)
	}
}

// leave says why the response is to end now, or "", and after what pause the client should come back (0: at once).
func (p *Pump) leave() (reason string, retry time.Duration) {
	ended, _ := p.ended.Load().(string)
	switch {
	case ended == ByeDisconnected:
		return ended, spread()
	case ended != "":
		return ended, 0
	case p.hub.IsDraining() && !p.options.ThroughDrain && !p.asked(): // what there is to be read goes out first
		return byeDrain, spread()
	case !p.options.Expires.IsZero() && !p.now.Before(p.options.Expires):
		return ByeUnauthorized, 0
	case !p.stop.IsZero() && !p.now.Before(p.stop):
		return byeMax, 50 * time.Millisecond
	}
	return "", 0
}

// spread returns a random pause, so that clients who are sent away together do not come back together.
func spread() time.Duration { return 200*time.Millisecond + rand.N(4800*time.Millisecond) }

// sleep returns how long the handler has nothing to do, if nobody signals.
func (p *Pump) sleep() time.Duration {
	d := p.written.Add(p.options.Heartbeat).Sub(p.now)
	if !p.stop.IsZero() {
		d = min(d, p.stop.Sub(p.now))
	}
	if !p.options.Expires.IsZero() {
		d = min(d, p.options.Expires.Sub(p.now))
	}
	return max(d, time.Millisecond)
}
