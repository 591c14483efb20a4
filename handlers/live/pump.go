package live

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// Feed encodes what its readers return as the bytes of one response. Its methods append to dst. One goroutine at a time
// calls them, but not always the same one. A panic in them ends only this response.
type Feed interface {
	// Next appends what is to be sent. If that is a single piece that readers share, it returns the piece instead. end
	// means that nothing more will follow.
	Next(dst []byte) (out []byte, piece Chunk, end bool)
	// Heartbeat appends a heartbeat.
	Heartbeat(dst []byte, now time.Time) []byte
	// Bye appends an end of the response that is not the stream's end, or nothing if the format has none.
	Bye(dst []byte, reason string, retry time.Duration) []byte
}

// Options has the client's parameters and the limits of the response. Heartbeat is required.
type Options struct {
	Heartbeat    time.Duration // interval of heartbeats on an idle response
	Pad          int           // bytes of padding at the beginning, for proxies that buffer
	Max          time.Duration // 0: no limit
	Expires      time.Time     // when the client's token expires; zero: never
	WriteTimeout time.Duration // how long the client may accept no bytes; 0: no limit
	ThroughDrain bool          // the response goes on after the hub has drained
	Via          hub.Transport // for statistics
}

// The reasons of the block bye (openapi.yaml: Bye). The first two are also for Pump.End.
const (
	ByeUnauthorized = "unauthorized" // the token is no longer valid
	ByeDisconnected = "disconnected" // the client should reconnect
	ByeDrain        = "drain"        // the server stops: the client should reconnect after AfterRestart
	byeMax          = "max"          // the response has reached its maximum duration
)

// pumpBuffer bounds, in bytes, the pieces that are shared. A pump keeps at most 4 times as much between writes.
const pumpBuffer = 64 << 10

// Pump writes a feed until the feed ends, the client disconnects, the token expires, or the server stops.
//
// Two kinds of goroutines write to the connection. A writers.Turn determines which of them may write:
//
//   - The writers of the pool, which never wait for a client. They write when readers are woken (Signal, Flush), as
//     long as the connection accepts everything at once.
//   - The handler, which may wait. It has the turn at the beginning, at the end, for heartbeats, and while the client
//     accepts less than there is. Otherwise it sleeps in rest. If there is no pool, or no connection that can be
//     written to without waiting (HTTP/2, TLS), it always has the turn.
//
// These rules keep the response consistent:
//
//  1. Only the goroutine that has the turn calls the feed, writes, or uses the last group of fields below.
//  2. No wake-up is lost. Signal takes the turn and passes the pump to the pool, or makes the goroutine that has the
//     turn check again before releasing it (Turn.Again). So the feed is read after every signal.
//  3. A writer of the pool that cannot finish (the client accepts no more, the feed ended or panicked, the write
//     failed, the handler wants the turn) keeps the turn for the handler: it stores the rest in handover and sends to
//     handed, which has room for one value, so it does not block. The handler writes handover.rest before anything
//     else, so that the order of bytes is preserved.
//  4. The handler requests the turn by setting wanted. If nobody has the turn, Take succeeds. If a writer has it, Take
//     makes that one check again; it sees wanted, and sends to handed.
//  5. No write deadline is set while the pool may write, because a deadline that has passed would fail a write that
//     does not wait.
//  6. Run ends with Turn.EndMine, so that no writer uses the pump after Run has returned.
type Pump struct {
	// Constant.
	w       http.ResponseWriter
	rc      *http.ResponseController
	hub     *hub.Hub
	options Options
	wake    *log.Wake       // for the handler
	stop    time.Time       // when Options.Max has passed; zero: never
	conn    net.Conn        // nil: everything passes through w
	raw     syscall.RawConn // of conn, for the pool
	pool    *writers.Pool   // nil: the handler writes everything

	// Used by all goroutines.
	turn   writers.Turn
	wanted atomic.Bool   // the handler waits for the turn
	handed chan struct{} // a writer gives the turn to the handler
	gone   atomic.Bool   // the request's context has ended
	ended  atomic.Value  // the reason, a string, that End was called with

	// Used by the goroutine that has the turn.
	feed     Feed
	buf      []byte    // chunkRoom, followed by what is written next
	now      time.Time // read once per round, because reading the clock is expensive
	due      time.Time // when the handler's timer fires
	written  time.Time // when bytes were last sent
	deadline time.Time // the connection's write deadline; zero: none
	begun    bool      // net/http has sent the header: the rest may be written to conn
	direct   int64     // bytes written to conn
	handover handover
}

// New returns the pump of a response. The caller has the turn. All pumps of a server share pool.
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

// EndOnDrain ends the response when the hub has drained, until forget is called.
func (p *Pump) EndOnDrain() (forget func()) { return p.hub.OnDrain(p.wake) }

// handover is what a writer of the pool passes to the handler.
type handover struct {
	rest  Chunk // what the client has not accepted
	end   bool  // the feed has ended
	err   error
	panic error // the feed's panic, and its stack
}

// Signal implements log.Waker: the feed may have more.
func (p *Pump) Signal() {
	switch {
	case p.pool == nil:
		p.wake.Signal()
	case p.turn.Take():
		p.pool.Add(p)
	}
}

// End ends the response soon, with a bye that has the reason. It does not block. Only the first reason is used.
func (p *Pump) End(reason string) {
	p.ended.CompareAndSwap(nil, reason)
	p.wake.Signal()
}

// Transport implements hub.Client.
func (p *Pump) Transport() hub.Transport { return p.options.Via }

// errNotWhole is returned if the body ends, but the format cannot express that the stream did not end successfully.
var errNotWhole = errors.New("the body must not look whole")

// Run writes the feed until the end. It returns nil after a clean end, and if the client has disconnected. After an
// error the response must be aborted (http.ErrAbortHandler), so that no client takes the body for complete: a write
// failed, or the stream did not end successfully and the format cannot express it. A panic in the feed becomes a panic
// of Run.
func (p *Pump) Run(ctx context.Context, f Feed) error {
	err := p.loop(ctx, f)
	if s, ok := f.(interface{ whole() bool }); ok && err == nil && !s.whole() {
		return errNotWhole
	}
	return err
}

// loop is the handler's loop: it flushes, checks whether to end or to send a heartbeat, and rests.
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

// rest releases the turn, and returns with the turn when the handler has something to do.
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

// Flush implements writers.Job: it writes the feed, as far as the connection accepts it at once.
func (p *Pump) Flush(y *writers.Try) {
	defer func() {
		if v := recover(); v != nil { // the handler repeats the panic, and Recover handles it
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

// handOver passes the turn to the handler (rule 3).
func (p *Pump) handOver() {
	p.handed <- struct{}{}
	p.wake.Signal()
}

// nextChunk returns the next part of the feed as one chunk.
func (p *Pump) nextChunk() (c Chunk, end bool) {
	buf, piece, end := p.feed.Next(p.room())
	if len(piece) > 0 {
		return piece, end
	}
	p.buf = slices.Grow(buf, len("\r\n"))
	return frameChunk(p.buf), end
}

// flush writes the rest that a writer of the pool has left, and then the next part of the feed. If the feed has more,
// its readers signal.
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

// room returns the buffer, which is empty after its chunkRoom.
func (p *Pump) room() []byte {
	if cap(p.buf) < chunkRoom || cap(p.buf) > 4*pumpBuffer { // do not keep the large buffer of a late reader
		p.buf = make([]byte, chunkRoom, 512)
	}
	return p.buf[:chunkRoom]
}

// beat sends a heartbeat if nothing was sent for long enough.
func (p *Pump) beat(f Feed) error {
	if p.now.Sub(p.written) < p.options.Heartbeat {
		return nil
	}
	return p.write(f.Heartbeat(p.room(), p.now))
}

// write sends what follows the chunkRoom in buf.
func (p *Pump) write(buf []byte) error {
	p.buf = slices.Grow(buf, len("\r\n"))
	return p.send(frameChunk(p.buf))
}

// send writes a chunk, and waits for the client. A large chunk is written in pieces, each with a deadline of its own.
func (p *Pump) send(c Chunk) error {
	if len(c) == 0 {
		return nil
	}
	if p.conn != nil && p.begun {
		n, err := p.writePieces(p.conn, c)
		p.direct += int64(n)
		return err
	}
	p.begun = true
	if _, err := p.writePieces(p.w, c.body()); err != nil {
		return err
	}
	return p.rc.Flush()
}

// writePieces writes b in pieces of writers.PieceBytes.
func (p *Pump) writePieces(w io.Writer, b []byte) (n int, err error) {
	for {
		p.extendDeadline()
		p.written = p.now
		k, err := w.Write(b[:min(len(b), writers.PieceBytes)])
		if n += k; err != nil || k == len(b) {
			return n, err
		}
		b = b[k:]
		p.now = time.Now()
	}
}

// extendDeadline moves the deadline of the next write, at most once per second, because moving it costs more than
// copying the bytes.
func (p *Pump) extendDeadline() {
	if p.options.WriteTimeout > 0 && p.deadline.Sub(p.now) < p.options.WriteTimeout-time.Second {
		p.deadline = p.now.Add(p.options.WriteTimeout)
		_ = p.rc.SetWriteDeadline(p.deadline) // unsupported by test recorders only
	}
}

// asked reports whether the feed may have more.
func (p *Pump) asked() bool {
	if p.pool == nil {
		return len(p.wake.C) > 0
	}
	return p.turn.Asked()
}

// count adds the bytes that did not pass through the access log to its count.
func (p *Pump) count() {
	if log, ok := p.w.(interface{ Sent(n int64) }); ok {
		log.Sent(p.direct)
	}
}

// leave returns the reason to end the response now, or "", and the time after which the client should reconnect.
func (p *Pump) leave() (reason string, retry time.Duration) {
	ended, _ := p.ended.Load().(string)
	switch {
	case ended == ByeDisconnected:
		return ended, spread()
	case ended != "":
		return ended, 0
	case p.hub.HasDrained() && !p.options.ThroughDrain && !p.asked(): // entries that are available are sent first
		return ByeDrain, AfterRestart()
	case !p.options.Expires.IsZero() && !p.now.Before(p.options.Expires):
		return ByeUnauthorized, 0
	case !p.stop.IsZero() && !p.now.Before(p.stop):
		return byeMax, 50 * time.Millisecond
	}
	return "", 0
}

// spread returns a random time, so that clients that are disconnected together do not reconnect together.
func spread() time.Duration { return 200*time.Millisecond + rand.N(4800*time.Millisecond) }

// AfterRestart returns how long a client should stay away from a server that stops: a random time from 5 to 15 s. It is
// for EventSources behind a proxy, which answers 502 until the server is back: they give up for good after any status
// but 200 (WHATWG HTML §9.2.3), so they must come back after the restart.
func AfterRestart() time.Duration { return 5*time.Second + rand.N(10*time.Second) }

// sleep returns how long the handler has nothing to do if nobody signals.
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
