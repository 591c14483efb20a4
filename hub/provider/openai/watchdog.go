package openai

import (
	"context"
	"errors"
	"io"
	"time"
)

// Why a watchdog bit.
var (
	errNoToken = errors.New("no token in time")
	errSilence = errors.New("silence within an answer")
	errNoEnd   = errors.New("nothing after the answer's end")
)

// watchdog cancels a request when the upstream takes too long. Its methods are for one goroutine.
type watchdog struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
	idle   time.Duration // what each byte sets the clock back to; 0: bytes do not count
}

func newWatchdog(cancel context.CancelCauseFunc) *watchdog { return &watchdog{cancel: cancel} }

// arm lets the request run for d more, whatever it receives.
func (w *watchdog) arm(d time.Duration, cause error) {
	w.stop()
	w.idle = 0
	w.timer = time.AfterFunc(d, func() { w.cancel(cause) })
}

// guard lets the request be silent for d at most.
func (w *watchdog) guard(d time.Duration, cause error) {
	w.arm(d, cause)
	w.idle = d
}

func (w *watchdog) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// watched is a body whose every byte is a sign of life.
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
