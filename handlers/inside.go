package handlers

import (
	"fmt"
	"net/http"
	"net/http/pprof" // also serves on http.DefaultServeMux, which nothing of ours listens with
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
)

// MetricsTopic is where who reads /metrics needs "admin": so a monitor's token need not be good for anything else.
const MetricsTopic = "duckwire:metrics"

// getMetrics answers GET /metrics where it is not open.
func (s *server) getMetrics(w http.ResponseWriter, r *http.Request) error {
	if err := s.Authorizer.Authorize(r.Context(), auth.IdentityFrom(r.Context()), MetricsTopic, rights.ActionAdmin); err != nil {
		return err
	}
	s.openMetrics(w, r)
	return nil
}

// openMetrics answers GET /metrics to whoever asks.
func (s *server) openMetrics(w http.ResponseWriter, r *http.Request) {
	limitWrite(w)
	s.metrics.ServeHTTP(w, r)
}

// profiles are what GET /debug/pprof/{profile} answers with. Its own "cmdline" is not among them: a command line may hold what is nobody's business.
var profiles = map[string]http.Handler{
	"profile": http.HandlerFunc(pprof.Profile), "trace": http.HandlerFunc(pprof.Trace),
	"allocs": pprof.Handler("allocs"), "goroutine": pprof.Handler("goroutine"), "heap": pprof.Handler("heap"), "threadcreate": pprof.Handler("threadcreate"),
}

// maxProfile bounds how long a profile takes, in seconds.
const maxProfile = 60

// getProfile answers GET /debug/pprof/{profile}, for admins of everything, one at a time.
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
	if !s.profiling.TryLock() {
		return &errs.LimitError{Kind: errs.ErrLimited, Name: "profiles at one time (profiles)", Limit: 1, Retry: 10 * time.Second}
	}
	defer s.profiling.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(maxProfile*time.Second + answerTimeout)) // a stalled client must not keep others from it
	profile.ServeHTTP(w, r)
	return nil
}
