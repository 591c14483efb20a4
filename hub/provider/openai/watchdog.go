package openai

import (
	"context"
	"errors"
	"io"
	"time"
)

// Causes for which a watchdog cancels.
var (
	errNoToken = errors.New("no token in time")
	errSilence = errors.New("silence within an answer")
	errNoEnd   = errors.New("nothing after the answer's end")
)

// watchdog cancels a request if the upstream takes too long. Its methods are for one goroutine.
type watchdog struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
	idle   time.Duration // time allowed after each read; 0: reads do not restart the timer
}

func newWatchdog(cancel context.CancelCauseFunc) *watchdog { return &watchdog{cancel: cancel} }

// arm cancels the request after d, whatever it receives.
func (w *watchdog) arm(d time.Duration, cause error) {
	w.stop()
	w.idle = 0
	w.timer = time.AfterFunc(d, func() { w.cancel(cause) })
}

// guard cancels the request if it receives nothing for d.
func (w *watchdog) guard(d time.Duration, cause error) {
	w.arm(d, cause)
	w.idle = d
}

func (w *watchdog) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// watched is a body whose reads restart the watchdog's timer.
type watched struct {
	io.Reader
	dog *watchdog
}

func (b watched) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if n > 0 && b.dog.idle > 0 {
		b.dog.timer.Reset(b.dog.idle)
	}
	return n, err
}
