package handlers

import (
	"encoding/json"
	"net/http"
	"time"
)

// answerTimeout is how long a client may take to read a short answer. Long answers have a deadline for each write
// (handlers/live).
const answerTimeout = 30 * time.Second

// answer sends a complete short answer, which must not be cached.
func answer(w http.ResponseWriter, status int, media string, body []byte) {
	limitWrite(w)
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only if the client is gone
}

// writeJSON sends a JSON document as answer does.
func writeJSON(w http.ResponseWriter, status int, v any) {
	limitWrite(w)
	w.Header().Set("Content-Type", mediaJSON)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // fails only if the client is gone
}

// limitWrite sets the write deadline of a short answer. It starts now, because producing the answer may have taken
// long.
func limitWrite(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)) // unsupported by test recorders only
}
