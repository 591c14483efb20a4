package handlers

import (
	"encoding/json"
	"net/http"
	"time"
)

// answerTimeout is how long a client may take to take a short answer. Long ones have a deadline for each write (handlers/live).
const answerTimeout = 30 * time.Second

// answer sends a short answer whole: one that nobody should keep.
func answer(w http.ResponseWriter, status int, media string, body []byte) {
	limitWrite(w)
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has gone: there is nobody to tell
}

// writeJSON is answer with a JSON document.
func writeJSON(w http.ResponseWriter, status int, v any) {
	limitWrite(w)
	w.Header().Set("Content-Type", mediaJSON)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client has gone: there is nobody to tell
}

// limitWrite sets the deadline of a short answer, counted from now: its making may have taken long.
func limitWrite(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)) // unsupported by test recorders only
}
