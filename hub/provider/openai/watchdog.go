package openai

import (
	"context"
	"errors"
	"io"
	"time"
)

// Causes for which a watchdog cancels.
var (
	errNoToken  = errors.New("no sign of life before the first token")
	errNoAnswer = errors.New("no token in time")
	errSilence  = errors.New("silence within an answer")
	errNoEnd    = errors.New("nothing after the answer's end")
)

// watchdog cancels a request if the upstream takes too long. Its methods are for one goroutine.
type watchdog struct {
	cancel context.CancelCauseFunc
	limit  *time.Timer // for the wait in all
	quiet  *time.Timer // for the time without a byte
	idle   time.Duration
}

func newWatchdog(cancel context.CancelCauseFunc) *watchdog { return &watchdog{cancel: cancel} }

// within cancels the request after d, whatever it receives. It replaces the limit before.
func (w *watchdog) within(d time.Duration, cause error) {
	w.unlimit()
	w.limit = time.AfterFunc(d, func() { w.cancel(cause) })
}

// extend restarts the limit of within.
func (w *watchdog) extend(d time.Duration) { w.limit.Reset(d) }

// unlimit ends the limit of within.
func (w *watchdog) unlimit() {
	if w.limit != nil {
		w.limit.Stop()
	}
}

// guard cancels the request if it receives nothing for d. It replaces the guard before.
func (w *watchdog) guard(d time.Duration, cause error) {
	w.unguard()
	w.idle = d
	w.quiet = time.AfterFunc(d, func() { w.cancel(cause) })
}

// unguard ends the limit of guard.
func (w *watchdog) unguard() {
	if w.quiet != nil {
		w.quiet.Stop()
	}
	w.idle = 0
}

func (w *watchdog) stop() {
	w.unlimit()
	w.unguard()
}

// watched is a body whose reads restart the guard's timer.
type watched struct {
	io.Reader
	dog *watchdog
}

func (b watched) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if n > 0 && b.dog.idle > 0 {
		b.dog.quiet.Reset(b.dog.idle)
	}
	return n, err
}
