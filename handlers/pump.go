package handlers

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// feed is one long response: it turns what its readers have into bytes. Its methods append to dst; they belong to the handler's goroutine.
type feed interface {
	// next appends what is there to be sent. end says that nothing more will come.
	next(dst []byte) (out []byte, end bool)
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

	buf      []byte
	written  time.Time // when bytes last went out
	deadline time.Time // that is set on the connection
}

// run returns nil after a clean end, the client's leaving included, and an error when a write failed.
func (p *pump) run(ctx context.Context, f feed) error {
	p.written = time.Now()
	timer := time.NewTimer(p.sleep(p.written))
	defer timer.Stop()
	for {
		end, err := p.flush(f)
		if end || err != nil {
			return err
		}
		if reason, retry := p.leave(time.Now()); reason != "" {
			return p.write(f.bye(p.buf[:0], reason, retry))
		}
		select {
		case <-p.wake.C:
			continue
		case <-ctx.Done():
			return nil
		case now := <-timer.C:
			if now.Sub(p.written) >= p.hb {
				if err := p.write(f.heartbeat(p.buf[:0], now)); err != nil {
					return err
				}
			}
			timer.Reset(p.sleep(now))
		}
	}
}

// flush writes what the feed has.
func (p *pump) flush(f feed) (end bool, err error) {
	for {
		p.buf, end = f.next(p.buf[:0])
		if len(p.buf) == 0 {
			return end, nil
		}
		if err := p.write(p.buf); err != nil || end {
			return end, err
		}
		if cap(p.buf) > 4*pumpBuffer { // a late reader's catch-up should not stay in memory
			p.buf = nil
		}
	}
}

// write sends b and everything before it, under a deadline of its own. The deadline is moved at most once a second: it costs more than
// the copying.
func (p *pump) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	now := time.Now()
	if p.timeout > 0 && p.deadline.Sub(now) < p.timeout-time.Second {
		p.deadline = now.Add(p.timeout)
		_ = p.rc.SetWriteDeadline(p.deadline) // unsupported by test recorders only
	}
	p.written = now
	if _, err := p.w.Write(b); err != nil {
		return err
	}
	return p.rc.Flush()
}

// leave says why the response should end now, or "".
func (p *pump) leave(now time.Time) (reason string, retry time.Duration) {
	switch {
	case p.drained():
		return "drain", 200*time.Millisecond + rand.N(4800*time.Millisecond)
	case !p.expires.IsZero() && !now.Before(p.expires):
		return "unauthorized", 0
	case !p.stop.IsZero() && !now.Before(p.stop):
		return "max", 50 * time.Millisecond
	}
	return "", 0
}

// sleep returns how long nothing needs to be looked at.
func (p *pump) sleep(now time.Time) time.Duration {
	d := p.written.Add(p.hb).Sub(now)
	if !p.stop.IsZero() {
		d = min(d, p.stop.Sub(now))
	}
	if !p.expires.IsZero() {
		d = min(d, p.expires.Sub(now))
	}
	return max(d, time.Millisecond)
}
