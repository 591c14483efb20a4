package sqlite

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mattn/go-sqlite3"
)

// Pauses between writes that fail in a row: none after the first failure, then firstPause, doubled each time up to
// maxPause.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second
)

// health is the state of the disk, as far as writes have shown it. The writer's goroutine owns it; other goroutines
// only call failure.
type health struct {
	logger   *slog.Logger
	failing  atomic.Pointer[error]
	doubtful bool // an I/O error occurred, and the WAL has not been settled since
	damaged  bool // the file is corrupt: writing could make it worse, so only a restart clears this
	pause    time.Duration
	retryAt  time.Time
}

// failure returns why the store cannot write at the moment, or nil.
func (h *health) failure() error {
	if p := h.failing.Load(); p != nil {
		return *p
	}
	return nil
}

// tooEarly returns the last failure if no write may be tried yet.
func (h *health) tooEarly(now time.Time) error {
	if h.damaged || now.Before(h.retryAt) {
		return h.failure()
	}
	return nil
}

// doubt records what an error says about the disk.
func (h *health) doubt(err error) {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return
	}
	switch e.Code {
	case sqlite3.ErrIoErr:
		h.doubtful = true
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		if !h.damaged {
			h.damaged = true
			h.logger.Error("the database is damaged; writing stops until the server is restarted", "error", h.set(err))
		}
	}
}

// failed records a failed write.
func (h *health) failed(err error, now time.Time) {
	before := h.failure()
	h.doubt(err)
	if h.damaged {
		return
	}
	if err = h.set(err); before == nil {
		h.logger.Error("the database cannot be written; retrying", "error", err)
	}
	h.retryAt = now.Add(h.pause)
	h.pause = min(max(2*h.pause, firstPause), maxPause)
}

func (h *health) set(err error) error {
	err = advise(err)
	h.failing.Store(&err)
	return err
}

// succeeded records a successful write.
func (h *health) succeeded() {
	if h.damaged || h.failure() == nil {
		return
	}
	h.failing.Store(nil)
	h.pause, h.retryAt = 0, time.Time{}
	h.logger.Info("the database can be written again")
}

// isDisk reports whether an error comes from the disk, and not from the request that met it.
func isDisk(err error) bool {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return true
	}
	return e.Code != sqlite3.ErrConstraint && e.Code != sqlite3.ErrMismatch && e.Code != sqlite3.ErrTooBig &&
		e.Code != sqlite3.ErrError
}
