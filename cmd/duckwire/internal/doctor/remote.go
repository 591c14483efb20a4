package doctor

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/address"
)

// Remote examines a running server as its clients reach it.
type Remote struct {
	Base  string        // "https://stream.example.com", without a slash at the end, or "unix:/PATH"
	Token string        // must allow to subscribe to and publish on the topic; "": only check what needs no token
	Topic string        // "": a new one
	Idle  time.Duration // how long to test for proxies that close idle connections; 0: not at all

	Transport http.RoundTripper // nil: http.DefaultTransport's settings, with connections of its own
	Patience  time.Duration     // timeout for what should arrive immediately, 0: 3 s; after a twentieth of it, it is late
}

// patience is the time for which the JavaScript client waits for hello before it tries another transport
// (web/client/src/transports/climber.ts).
const patience = 3 * time.Second

// examination is a run of Remote.Examine.
type examination struct {
	*Remote
	*Report
	client *http.Client // follows no redirect
}

// Examine runs all checks. It stops if the server cannot be reached or does not accept the token.
func (o *Remote) Examine(ctx context.Context, r *Report) {
	e := newExamination(o, r)
	defer e.client.CloseIdleConnections()
	if !e.reach(ctx) {
		return
	}
	if !e.enter(ctx) {
		return
	}
	e.upstreams(ctx)
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
		tr := http.DefaultTransport.(*http.Transport).Clone()
		own.Base, own.Transport = address.Reach(tr, own.Base), tr
	}
	noRedirects := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &examination{&own, r, &http.Client{Transport: own.Transport, CheckRedirect: noRedirects}}
}
