package handlers

import (
	"net/http"
	"slices"

	"github.com/duckwire/duckwire/hub/errs"
)

// healthz answers 200 as long as the process runs.
func (s *server) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// degraded returns a function that adds to other's reasons those of the connections between nodes.
func (s *server) degraded(other func() []string) []string {
	reasons := slices.Concat(other(), s.hub.Degraded())
	if s.Verifier.Revocations().Stale() {
		reasons = append(reasons, "what other nodes have revoked is not known")
	}
	return reasons
}

// readyz reports whether new work should be sent here. It answers 503 while the server drains, or while something is
// missing that responses depend on.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) error {
	if s.hub.IsDraining() {
		return errs.ErrClosed
	}
	if err := s.Ready(r.Context()); err != nil {
		return err
	}
	if reasons := s.Degraded(); len(reasons) > 0 {
		writeJSON(w, http.StatusOK, map[string]any{"status": "degraded", "reasons": reasons})
		return nil
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
	return nil
}
