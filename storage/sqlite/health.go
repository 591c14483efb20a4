package sqlite

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mattn/go-sqlite3"
)

// How long the disk is left alone after failures in a row: not after the first, then twice as long each time.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second
)

// health is how the disk is doing, as writes have shown. The writer's goroutine owns it; others only ask for the failure.
type health struct {
	logger   *slog.Logger
	failing  atomic.Pointer[error]
	doubtful bool // the disk may not have what it should: an I/O error came up, and the log has not been settled since
	damaged  bool // the file is: writing on could make it worse, so only a restart ends that
	pause    time.Duration
	retryAt  time.Time
}

// failure returns why nothing can be kept at the moment, or nil.
func (h *health) failure() error {
	if p := h.failing.Load(); p != nil {
		return *p
	}
	return nil
}

// tooEarly returns the last failure while it is not yet time to try again.
func (h *health) tooEarly(now time.Time) error {
	if h.damaged || now.Before(h.retryAt) {
		return h.failure()
	}
	return nil
}

// doubt notes what an error says about the disk.
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
			h.logger.Error("nothing is written any more until the server starts again", "error", h.set(err))
		}
	}
}

// failed notes that a write did not succeed.
func (h *health) failed(err error, now time.Time) {
	before := h.failure()
	h.doubt(err)
	if h.damaged {
		return
	}
	if err = h.set(err); before == nil {
		h.logger.Error("nothing can be kept; it is tried again", "error", err)
	}
	h.retryAt = now.Add(h.pause)
	h.pause = min(max(2*h.pause, firstPause), maxPause)
}

func (h *health) set(err error) error {
	err = advise(err)
	h.failing.Store(&err)
	return err
}

// succeeded notes that a write did.
func (h *health) succeeded() {
	if h.damaged || h.failure() == nil {
		return
	}
	h.failing.Store(nil)
	h.pause, h.retryAt = 0, time.Time{}
	h.logger.Info("things can be kept again")
}

// isDisk reports whether an error is no fault of a request's.
func isDisk(err error) bool {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return true
	}
	return e.Code != sqlite3.ErrConstraint && e.Code != sqlite3.ErrMismatch && e.Code != sqlite3.ErrTooBig && e.Code != sqlite3.ErrError
}
