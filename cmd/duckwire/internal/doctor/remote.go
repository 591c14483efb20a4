package doctor

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"time"
)

// Remote is a server that runs, as its clients see it.
type Remote struct {
	Base  string        // "https://stream.example.com", without a slash at the end
	Token string        // of somebody who may subscribe to the topic and publish on it; "": only what needs no token is examined
	Topic string        // "": one of the doctor's own
	Idle  time.Duration // how long to wait for a proxy that cuts what is silent; 0: not at all

	Transport http.RoundTripper // nil: http.DefaultTransport's settings, with connections of its own
	Patience  time.Duration     // for what should be there at once; 0: 3 s
}

// patience is how long a client waits for hello before it tries another transport (protocol/sse.md).
const patience = 3 * time.Second

// examination is one examination of a Remote.
type examination struct {
	*Remote
	*Report
	client *http.Client // follows no redirect
}

// Examine looks at everything. A server that cannot be reached, or that takes no token, ends it.
func (o *Remote) Examine(ctx context.Context, r *Report) {
	e := newExamination(o, r)
	defer e.client.CloseIdleConnections()
	if !e.reach(ctx) {
		return
	}
	if !e.enter(ctx) {
		return
	}
	e.webSocket(ctx)
	live := e.eventStream(ctx)
	e.longPoll(ctx)
	if live {
		e.resume(ctx)
	} else {
		e.Skip("resume", "it is asked on an event stream, and none comes through")
	}
	e.idle(ctx, live)
}

func newExamination(o *Remote, r *Report) *examination {
	own := *o
	if own.Topic == "" {
		own.Topic = "duckwire:doctor:" + strings.ToLower(rand.Text()[:10])
	}
	if own.Patience == 0 {
		own.Patience = patience
	}
	if own.Transport == nil {
		own.Transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	return &examination{&own, r, &http.Client{
		Transport: own.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}
