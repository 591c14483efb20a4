package handlers_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestWhoReadsMetrics: metrics need a right of their own, unless the server is configured to show them to everybody.
func TestWhoReadsMetrics(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	monitor := as(t, "prometheus", "duckwire:metrics=admin")
	s.expect(200, "GET", "/metrics", "", monitor)
	s.expect(200, "GET", "/metrics", "", as(t, "root", "*=admin"))
	s.expect(403, "GET", "/metrics", "", as(t, "ada", "*=subscribe,publish,presence,complete,produce,queue"))
	s.expect(403, "GET", "/metrics", "", as(t, "ada"))
	s.expect(401, "GET", "/metrics", "", "Authorization: none")
	s.expect(403, "GET", "/v1/overview", "", monitor)
	s.expect(403, "GET", "/debug/pprof/heap", "", monitor)

	open := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.OpenMetrics = true })
	open.expect(200, "GET", "/metrics", "", "Authorization: none")
	open.expect(401, "GET", "/debug/pprof/heap", "", "Authorization: none")

	doubtful := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.Authorizer = undecided{} })
	doubtful.expect(503, "GET", "/metrics", "", monitor)
}

// TestProfiles: profiles need admin on everything; their duration is limited, and only one is made at a time.
func TestProfiles(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	root := as(t, "root", "*=admin")
	for _, name := range []string{"heap", "allocs", "goroutine", "threadcreate"} {
		s.expect(200, "GET", "/debug/pprof/"+name, "", root)
	}
	resp := s.do("GET", "/debug/pprof/goroutine?debug=1", "", root)
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), "getProfile") {
		t.Errorf("its own goroutine is not in the profile: %.300s", body)
	}
	s.expect(404, "GET", "/debug/pprof/cmdline", "", root)
	for _, seconds := range []string{"0", "61", "x"} {
		s.expect(400, "GET", "/debug/pprof/profile?seconds="+seconds, "", root)
	}
	s.expect(403, "GET", "/debug/pprof/heap", "", as(t, "ada", "code:*=*", "duckwire:metrics=admin"))
	s.expect(401, "GET", "/debug/pprof/heap", "", "Authorization: none")

	ctx, stop := context.WithCancel(t.Context())
	gone := make(chan struct{})
	r := s.request("GET", "/debug/pprof/trace?seconds=60", "", root).WithContext(ctx)
	go func() {
		defer close(gone)
		for ctx.Err() == nil { // again, if it is refused because of one of the profiles below
			if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body) // until it is cancelled
				resp.Body.Close()
			}
		}
	}()
	status := func() int {
		resp := s.do("GET", "/debug/pprof/threadcreate", "", root)
		resp.Body.Close()
		return resp.StatusCode
	}
	await := func(want int) {
		hubtest.Until(t, fmt.Sprintf("the status %d", want), func() bool { return status() == want })
	}
	await(429) // while the trace is recorded
	stop()
	<-gone
	await(200)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}
