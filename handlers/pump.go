package handlers

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// feed is one long response: it turns what its readers have into bytes. Its methods append to dst; they belong to the handler's goroutine.
type feed interface {
	// next appends what is there to be sent; or, where that is one piece that all readers share, it returns the piece. end says that nothing
	// more will come.
	next(dst []byte) (out []byte, piece chunk, end bool)
	// heartbeat appends a sign of life.
	heartbeat(dst []byte, now time.Time) []byte
	// bye appends a farewell that is not the stream's end; nothing for formats that have none.
	bye(dst []byte, reason string, retry time.Duration) []byte
}

// pumpBuffer is the size at which a feed's output is written even if there is more to come.
const pumpBuffer = 64 << 10

// pump writes a feed until its end, the client's, the token's or the server's. The handler's goroutine is the loop: it sleeps until the
// readers' wake fires, takes everything there is, and writes it in one go.
type pump struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	wake    *hub.Wake
	hb      time.Duration
	stop    time.Time // when to say bye for the time limit; zero: never
	expires time.Time // when the token ends; zero: never
	drained func() bool
	timeout time.Duration // for each write
	conn    net.Conn      // nil: everything passes through w

	buf      []byte      // chunkRoom, and what is written next
	now      time.Time   // of this round of the loop: clocks cost, too
	due      time.Time   // when the timer has fired
	written  time.Time   // when bytes last went out
	deadline time.Time   // that is set on the connection
	begun    bool        // the response's header is out
	gone     atomic.Bool // the request's context has ended
	direct   int64       // bytes that went out past w
}

// run returns nil after a clean end, the client's leaving included, and an error when a write failed. All that can happen comes as one
// signal, the wake's, because waiting for several channels costs as much as the rest of a delivery but the write itself.
func (p *pump) run(ctx context.Context, f feed) error {
	defer p.count()
	defer context.AfterFunc(ctx, func() { p.gone.Store(true); p.wake.Signal() })()
	p.now = time.Now()
	p.written = p.now
	p.due = p.now.Add(p.sleep())
	timer := time.AfterFunc(p.sleep(), p.wake.Signal)
	defer timer.Stop()
	for {
		if end, err := p.flush(f); end || err != nil {
			return err
		}
		if reason, retry := p.leave(); reason != "" {
			return p.write(f.bye(p.room(), reason, retry))
		}
		if !p.now.Before(p.due) {
			if err := p.beat(f); err != nil {
				return err
			}
			p.due = p.now.Add(p.sleep())
			timer.Reset(p.sleep())
		}
		<-p.wake.C
		if p.gone.Load() {
			return nil
		}
		p.now = time.Now()
	}
}

// flush writes what the feed has: the wake has fired already if that is not all.
func (p *pump) flush(f feed) (end bool, err error) {
	buf, piece, end := f.next(p.room())
	if len(piece) > 0 {
		return end, p.send(piece)
	}
	return end, p.write(buf)
}

// room returns the buffer, with nothing behind its chunkRoom.
func (p *pump) room() []byte {
	if cap(p.buf) < chunkRoom || cap(p.buf) > 4*pumpBuffer { // a late reader's catch-up should not stay in memory
		p.buf = make([]byte, chunkRoom, 512)
	}
	return p.buf[:chunkRoom]
}

// beat sends a sign of life, if nothing else has gone out for long enough.
func (p *pump) beat(f feed) error {
	if p.now.Sub(p.written) < p.hb {
		return nil
	}
	return p.write(f.heartbeat(p.room(), p.now))
}

// write sends what stands behind the room of buf.
func (p *pump) write(buf []byte) error {
	p.buf = slices.Grow(buf, len("\r\n"))
	return p.send(frameChunk(p.buf))
}

// send writes a chunk in one go, under a deadline of its own. The deadline is moved at most once a second: it costs more than the copying.
func (p *pump) send(c chunk) error {
	if len(c) == 0 {
		return nil
	}
	if p.timeout > 0 && p.deadline.Sub(p.now) < p.timeout-time.Second {
		p.deadline = p.now.Add(p.timeout)
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

// count tells the access log of the bytes that went past it.
func (p *pump) count() {
	if log, ok := p.w.(interface{ Sent(n int64) }); ok {
		log.Sent(p.direct)
	}
}

// leave says why the response should end now, or "".
func (p *pump) leave() (reason string, retry time.Duration) {
	switch {
	case p.drained() && len(p.wake.C) == 0: // what is left to be read goes out first
		return "drain", 200*time.Millisecond + rand.N(4800*time.Millisecond)
	case !p.expires.IsZero() && !p.now.Before(p.expires):
		return "unauthorized", 0
	case !p.stop.IsZero() && !p.now.Before(p.stop):
		return "max", 50 * time.Millisecond
	}
	return "", 0
}

// sleep returns how long nothing needs to be looked at.
func (p *pump) sleep() time.Duration {
	d := p.written.Add(p.hb).Sub(p.now)
	if !p.stop.IsZero() {
		d = min(d, p.stop.Sub(p.now))
	}
	if !p.expires.IsZero() {
		d = min(d, p.expires.Sub(p.now))
	}
	return max(d, time.Millisecond)
}
