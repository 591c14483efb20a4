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
)

// Feed is one long response: it turns what its readers have into bytes. Its methods append to dst; they belong to the handler's goroutine.
type Feed interface {
	// Next appends what is there to be sent; or, where that is one piece that all readers share, it returns the piece. end says that nothing
	// more will come.
	Next(dst []byte) (out []byte, piece Chunk, end bool)
	// Heartbeat appends a sign of life.
	Heartbeat(dst []byte, now time.Time) []byte
	// Bye appends a farewell that is not the stream's end; nothing for formats that have none.
	Bye(dst []byte, reason string, retry time.Duration) []byte
}

// Options is what a long response is asked for, and what bounds it. Heartbeat is needed.
type Options struct {
	Heartbeat    time.Duration // of silence, before a sign of life
	Pad          int           // bytes before anything else, for proxies that hold back the first ones
	Max          time.Duration // 0: no limit
	Expires      time.Time     // when the client's token ends; zero: never
	WriteTimeout time.Duration // for each write that waits; 0: none
	ThroughDrain bool          // it goes on while the hub drains
	Via          hub.Transport
}

// The reasons of a farewell (protocol/sse.md 5). The first two are given by who ends the response.
const (
	ByeUnauthorized = "unauthorized" // the token does not hold any more
	ByeDisconnected = "disconnected" // come back
	byeDrain        = "drain"        // the server stops: come back
	byeMax          = "max"          // the response has lasted for as long as it may
)

// pumpBuffer is the size at which a feed's output is written even if there is more to come.
const pumpBuffer = 64 << 10

// Pump writes a feed until its end, the client's, the token's or the server's.
//
// Whoever has the turn writes. While there is nothing special about the connection, that is one of the few goroutines of writers.Pool, which never
// waits for the client. The handler's goroutine sleeps, and has the turn for everything else: the beginning and the end, signs of life, and as
// long as the client takes less than there is. Without a connection that can be written to without waiting, it has it always.
type Pump struct {
	// Fixed.
	w       http.ResponseWriter
	rc      *http.ResponseController
	hub     *hub.Hub
	options Options
	wake    *hub.Wake // the handler's
	stop    time.Time // when to say bye for the time limit; zero: never
	conn    net.Conn  // nil: everything passes through w

	pool   *writers.Pool   // nil: the handler writes everything
	raw    syscall.RawConn // of conn, for the pool
	turn   writers.Turn
	wanted atomic.Bool   // the handler waits for the turn
	handed chan struct{} // the turn, on its way to the handler
	gone   atomic.Bool   // the request's context has ended
	ended  atomic.Value  // the reason, a string, for which somebody else ended it

	// Of whoever has the turn.
	feed     Feed
	buf      []byte    // chunkRoom, and what is written next
	now      time.Time // of this round: clocks cost, too
	due      time.Time // when the timer has fired
	written  time.Time // when bytes last went out
	deadline time.Time // that is set on the connection; zero: none
	begun    bool      // the response's header is out: what follows may go past net/http
	direct   int64     // bytes that went out past w
	handover handover
}

// New makes the pump of a response. The handler has its turn.
func New(w http.ResponseWriter, r *http.Request, h *hub.Hub, pool *writers.Pool, o Options) *Pump {
	p := &Pump{
		w: w, rc: http.NewResponseController(w), hub: h, options: o, wake: hub.NewWake(), conn: directConn(w, r),
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

// EndOnDrain has the response end when the hub begins to drain, until forget is called.
func (p *Pump) EndOnDrain() (forget func()) { return p.hub.OnDrain(p.wake) }

// handover is what a writer of the pool leaves to the handler.
type handover struct {
	rest  Chunk // that the client did not take
	end   bool  // the feed is at its end
	err   error
	panic error // what the feed panicked with, and its stack
}

// Signal implements hub.Waker: there is something to read.
func (p *Pump) Signal() {
	switch {
	case p.pool == nil:
		p.wake.Signal()
	case p.turn.Take():
		p.pool.Add(p)
	}
}

// End has the response end soon, with a farewell for a reason of somebody else's.
func (p *Pump) End(reason string) {
	p.ended.CompareAndSwap(nil, reason)
	p.wake.Signal()
}

// Transport implements hub.Client.
func (p *Pump) Transport() hub.Transport { return p.options.Via }

// errNotWhole means that the body must not look whole, though every byte of it went out.
var errNotWhole = errors.New("the stream's end is not the body's")

// Run writes what the feed has until one of the ends. It returns nil after a clean end, the client's leaving included, and
// an error where the response is to be aborted: a write failed, or the body must not look whole.
func (p *Pump) Run(ctx context.Context, f Feed) error {
	err := p.loop(ctx, f)
	if s, ok := f.(interface{ whole() bool }); ok && err == nil && !s.whole() {
		return errNotWhole
	}
	return err
}

// loop is the handler's part of the writing.
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

// rest gives the turn away until there is something for the handler to do.
func (p *Pump) rest() {
	if p.pool == nil {
		<-p.wake.C
		return
	}
	if !p.deadline.IsZero() { // it would fail a write that does not wait
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

// Flush implements writers.Job.
func (p *Pump) Flush(y *writers.Try) {
	defer func() {
		if v := recover(); v != nil { // it is the handler's to answer for
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

// handOver gives the turn to the handler.
func (p *Pump) handOver() {
	p.handed <- struct{}{}
	p.wake.Signal()
}

// nextChunk returns what the feed has.
func (p *Pump) nextChunk() (c Chunk, end bool) {
	buf, piece, end := p.feed.Next(p.room())
	if len(piece) > 0 {
		return piece, end
	}
	p.buf = slices.Grow(buf, len("\r\n"))
	return frameChunk(p.buf), end
}

// flush writes what a writer of the pool has left, and then what the feed has: there will be another turn if that is not all.
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
	if cap(p.buf) < chunkRoom || cap(p.buf) > 4*pumpBuffer { // a late reader's catch-up should not stay in memory
		p.buf = make([]byte, chunkRoom, 512)
	}
	return p.buf[:chunkRoom]
}

// beat sends a sign of life, if nothing else has gone out for long enough.
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

// send writes a chunk in one go, under a deadline of its own. The deadline is moved at most once a second: it costs more than the copying.
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

// asked reports whether there may be more to be read.
func (p *Pump) asked() bool {
	if p.pool == nil {
		return len(p.wake.C) > 0
	}
	return p.turn.Asked()
}

// count tells the access log of the bytes that went past it.
func (p *Pump) count() {
	if log, ok := p.w.(interface{ Sent(n int64) }); ok {
		log.Sent(p.direct)
	}
}

// leave says why the response should end now, or "".
func (p *Pump) leave() (reason string, retry time.Duration) {
	ended, _ := p.ended.Load().(string)
	switch {
	case ended == ByeDisconnected:
		return ended, spread()
	case ended != "":
		return ended, 0
	case p.hub.IsDraining() && !p.options.ThroughDrain && !p.asked(): // what is left to be read goes out first
		return byeDrain, spread()
	case !p.options.Expires.IsZero() && !p.now.Before(p.options.Expires):
		return ByeUnauthorized, 0
	case !p.stop.IsZero() && !p.now.Before(p.stop):
		return byeMax, 50 * time.Millisecond
	}
	return "", 0
}

// spread is when a client should come back of many that are sent away together.
func spread() time.Duration { return 200*time.Millisecond + rand.N(4800*time.Millisecond) }

// sleep returns how long nothing needs to be looked at.
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
