package handlers

import (
	"net/http"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// isHead reports whether only the header of a GET's answer is wanted (RFC 9110 §9.3.2). The router serves HEAD with the
// handler of GET, and net/http leaves out the body. So a handler asks this before it waits, counts a connection, or
// changes something.
func isHead(r *http.Request) bool { return r.Method == http.MethodHead }

// writeHead sends the header of a short answer.
func writeHead(w http.ResponseWriter, media string) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// headStream answers HEAD for a stream in any format but text. It checks what GET checks, and does not count as a
// watcher.
func (s *server) headStream(
	w http.ResponseWriter, r *http.Request, stream *hub.Stream, media, shape string,
) error {
	if shape == "openai" {
		if err := checkCompletionFormat(stream); err != nil {
			return err
		}
	}
	p, err := resumePosition(r, log.Position{})
	if err != nil {
		return err
	}
	if err := stream.CatchUp(p); err != nil {
		return err
	}
	if media == mediaJSON {
		if _, err := intParam(r.URL.Query(), "wait", 0, 0, maxWait); err != nil {
			return err
		}
		writeHead(w, media)
		return nil
	}
	if _, err := s.parseLive(r.URL.Query()); err != nil {
		return err
	}
	if stream.AtEnd(p) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	live.Start(w, media)
	return nil
}
