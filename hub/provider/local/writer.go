package local

import (
	"context"
	"errors"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/internal/stops"
)

// errStop ends an answer early: at the token limit, or at a stop string. It never leaves the package.
var errStop = errors.New("enough")

// writer writes tokens one at a time, with a pause between them, and applies the token limit and the stop strings. It
// buffers text that may be the beginning of a stop string until that is decided.
type writer struct {
	ctx   context.Context
	w     hub.CompletionWriter
	delay time.Duration
	left  int // tokens left within the limit
	stops stops.Set

	buffered string
	count    int  // tokens written
	length   bool // the token limit was reached
}

// token writes one token. It returns errStop if the answer must end, ctx's error, or the writer's.
func (o *writer) token(text string) error {
	if o.left == 0 {
		o.length = true
		return errStop
	}
	if err := o.pause(); err != nil {
		return err
	}
	o.left--
	o.count++
	o.buffered += text
	at, whole := o.stops.Find(o.buffered)
	if whole {
		o.buffered = o.buffered[:at]
		return errStop
	}
	text, o.buffered = o.buffered[:at], o.buffered[at:]
	if text == "" {
		return nil
	}
	return o.w.Text(text)
}

// flush writes the buffered text.
func (o *writer) flush() error {
	if o.buffered == "" {
		return o.ctx.Err()
	}
	text := o.buffered
	o.buffered = ""
	if err := o.ctx.Err(); err != nil {
		return err
	}
	return o.w.Text(text)
}

func (o *writer) reason() string {
	if o.length {
		return "length"
	}
	return "stop"
}

// pause waits between tokens, but not before the first.
func (o *writer) pause() error {
	if o.delay <= 0 || o.count == 0 {
		return o.ctx.Err()
	}
	t := time.NewTimer(o.delay)
	defer t.Stop()
	select {
	case <-o.ctx.Done():
		return o.ctx.Err()
	case <-t.C:
		return nil
	}
}
