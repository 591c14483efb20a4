package sseclient

import (
	"io"
	"sync/atomic"
	"time"
)

// watchedBody is the body of an answer. It calls dead if no byte has arrived for the time in patience.
type watchedBody struct {
	io.ReadCloser
	patience *atomic.Int64
	timer    *time.Timer
}

func newWatchedBody(body io.ReadCloser, patience *atomic.Int64, dead func()) *watchedBody {
	return &watchedBody{body, patience, time.AfterFunc(time.Duration(patience.Load()), dead)}
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		b.alive()
	}
	return n, err
}

// alive restarts the timer.
func (b *watchedBody) alive() { b.timer.Reset(time.Duration(b.patience.Load())) }

func (b *watchedBody) Close() error {
	b.timer.Stop()
	return b.ReadCloser.Close()
}
