package handlers

import (
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/middleware"
)

// await calls read, which says whether there is something to answer with, and again at each wake, for at most the wait. Who waits is there.
func (s *server) await(r *http.Request, wake *hub.Wake, wait time.Duration, read func() bool) {
	if wait > 0 {
		defer s.hub.EnterSession(middleware.IdentityFrom(r.Context()).User)()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	ended := hub.NewWake()
	if wait > 0 {
		defer s.endable(r, func(string) { ended.Signal() })() // the client comes back, and is told then
	}
	for !read() && wait > 0 && !s.hub.IsDraining() {
		select {
		case <-wake.C:
		case <-ended.C:
			return
		case <-timer.C:
			return
		case <-r.Context().Done():
			return
		}
	}
}
