package local

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// errStop ends an answer early: the token limit is reached, or a stop string was met. It never leaves the package.
var errStop = errors.New("enough")

// writer hands tokens on one at a time, with a pause between them, and watches the token limit and the stop strings. What may be the
// beginning of a stop string is held back until that is known.
type writer struct {
	ctx   context.Context
	w     hub.CompletionWriter
	delay time.Duration
	left  int // tokens that may still be written
	stops []string

	buffered string
	count    int  // tokens written
	stopped  bool // a stop string was met
	length   bool // the token limit was met
}

// token writes one token. It returns errEnough where the answer has to end, ctx's error, or the writer's.
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
	if i := o.stopAt(); i >= 0 {
		o.buffered = o.buffered[:i]
		o.stopped = true
		return errStop
	}
	keep := o.undecided()
	say := o.buffered[:len(o.buffered)-keep]
	o.buffered = o.buffered[len(o.buffered)-keep:]
	if say == "" {
		return nil
	}
	return o.w.Text(say)
}

// flush writes what was held back.
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

// pause waits between tokens. There is none before the first.
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

// stopAt returns where in held the first stop string begins, or -1.
func (o *writer) stopAt() int {
	at := -1
	for _, s := range o.stops {
		if i := strings.Index(o.buffered, s); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	return at
}

// undecided returns how many bytes at the end of held may be the beginning of a stop string.
func (o *writer) undecided() int {
	for n := len(o.buffered); n > 0; n-- {
		for _, s := range o.stops {
			if len(s) > n && strings.HasPrefix(s, o.buffered[len(o.buffered)-n:]) {
				return n
			}
		}
	}
	return 0
}
