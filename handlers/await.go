package handlers

import (
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// await calls read now and at each wake until it returns true or the wait is over. A waiting request counts as a
// connection. HEAD does not wait. Errors: *errs.LimitError at a limit.
func (s *server) await(r *http.Request, wake *log.Wake, wait time.Duration, read func() bool) error {
	if isHead(r) {
		wait = 0
	}
	if wait > 0 {
		leave, err := s.enter(r, hub.ViaWait)
		if err != nil {
			return err
		}
		defer leave()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	ended := log.NewWake()
	if wait > 0 {
		defer s.onEnd(r, func(string) { ended.Signal() })() // the client gets the error with its next request
	}
	for !read() && wait > 0 && !s.hub.IsDraining() {
		select {
		case <-wake.C:
		case <-ended.C:
			return nil
		case <-timer.C:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
	return nil
}
