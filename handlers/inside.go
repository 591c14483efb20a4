package handlers

import (
	"fmt"
	"net/http"
	"net/http/pprof" // also registers on http.DefaultServeMux, which this server does not use
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
)

// MetricsTopic is the topic on which reading /metrics needs "admin", so that a monitor's token grants nothing else.
const MetricsTopic = "duckwire:metrics"

// getMetrics answers GET /metrics unless it is public.
func (s *server) getMetrics(w http.ResponseWriter, r *http.Request) error {
	id := auth.IdentityFrom(r.Context())
	if err := s.Authorizer.Authorize(r.Context(), id, MetricsTopic, rights.ActionAdmin); err != nil {
		return err
	}
	s.openMetrics(w, r)
	return nil
}

// openMetrics answers GET /metrics without checking rights.
func (s *server) openMetrics(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	s.metrics.ServeHTTP(w, r)
}

// profiles maps the names of GET /debug/pprof/{profile} to handlers. pprof's "cmdline" is left out, because a command
// line may contain secrets.
var profiles = map[string]http.Handler{
	"profile": http.HandlerFunc(pprof.Profile), "trace": http.HandlerFunc(pprof.Trace),
	"allocs": pprof.Handler("allocs"), "goroutine": pprof.Handler("goroutine"),
	"heap": pprof.Handler("heap"), "threadcreate": pprof.Handler("threadcreate"),
}

// maxProfile is the maximum duration of a profile, in seconds.
const maxProfile = 60

// getProfile answers GET /debug/pprof/{profile}, for admins of all topics, one profile at a time.
func (s *server) getProfile(w http.ResponseWriter, r *http.Request) error {
	if !auth.IdentityFrom(r.Context()).Caps.Admin() {
		return fmt.Errorf(`only a token with "admin" on "*" may look inside: %w`, errs.ErrForbidden)
	}
	profile, ok := profiles[chi.URLParam(r, "profile")]
	if !ok {
		return errNoRoute
	}
	if _, err := intParam(r.URL.Query(), "seconds", 1, 1, maxProfile); err != nil {
		return err
	}
	if isHead(r) {
		writeHead(w, "application/octet-stream")
		return nil
	}
	if !s.profiling.TryLock() {
		const name = "profiles at one time (profiles)"
		return &errs.LimitError{Kind: errs.ErrLimited, Name: name, Limit: 1, Retry: 10 * time.Second}
	}
	defer s.profiling.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	deadline := time.Now().Add(maxProfile*time.Second + answerTimeout) // a stalled client must not block others
	_ = http.NewResponseController(w).SetWriteDeadline(deadline)
	profile.ServeHTTP(w, r)
	return nil
}
