package handlers

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/handlers/writers"
)

// answerTimeout is how long a client may take to read a piece of an answer. Long answers have a deadline of their own for
// each write (handlers/live).
const answerTimeout = 30 * time.Second

// answer sends a complete short answer, which must not be cached.
func answer(w http.ResponseWriter, status int, media string, body []byte) {
	out := steady(w)
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = out.Write(body) // fails only if the client is gone
}

// writeJSON sends a JSON document as answer does.
func writeJSON(w http.ResponseWriter, status int, v any) {
	out := steady(w)
	w.Header().Set("Content-Type", mediaJSON)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // fails only if the client is gone
}

// steady returns the writer of an answer's body, and sets the first deadline: producing the answer may have taken long.
func steady(w http.ResponseWriter) io.Writer {
	return writers.Steady(w, http.NewResponseController(w), answerTimeout)
}
