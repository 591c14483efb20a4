package handlers

import (
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/middleware/auth"
)

// upload is a request body of unlimited duration, which ends with the client's token.
type upload struct {
	body   io.Reader
	rc     *http.ResponseController
	reason atomic.Value // why it was ended; a string
}

// watchUpload ends the reading of a long body when the token expires or is revoked, or the user is disconnected, until
// done is called.
func (s *server) watchUpload(w http.ResponseWriter, r *http.Request) (u *upload, done func()) {
	u = &upload{body: r.Body, rc: http.NewResponseController(w)}
	forget, stop := s.onEnd(r, u.end), func() bool { return true }
	if expires := auth.IdentityFrom(r.Context()).Expires; !expires.IsZero() {
		stop = time.AfterFunc(time.Until(expires), func() { u.end(live.ByeUnauthorized) }).Stop
	}
	return u, func() { stop(); forget() }
}

func (u *upload) end(reason string) {
	u.reason.CompareAndSwap(nil, reason)
	_ = u.rc.SetReadDeadline(time.Now()) // unsupported by test recorders only
}

// Read reads the body. It also checks the reason, because the deadline of a slow body may have replaced the one that
// ended it.
func (u *upload) Read(p []byte) (int, error) {
	if u.reason.Load() != nil {
		return 0, os.ErrDeadlineExceeded
	}
	return u.body.Read(p)
}

// endError returns the error to answer with for an error of the reading.
func (u *upload) endError(err error) error {
	if reason, _ := u.reason.Load().(string); err != nil && reason != "" {
		return endedError(reason)
	}
	return err
}
