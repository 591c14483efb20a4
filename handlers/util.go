package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// digest identifies what a request asked for, so that an idempotency id cannot be used for something else.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write([]byte(p)) // a hash takes everything
		_, _ = h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// isOpenAIPath reports whether a request came to one of the OpenAI-compatible paths, whose errors have OpenAI's shape.
func isOpenAIPath(r *http.Request) bool {
	switch strings.TrimSuffix(r.URL.Path, "/") {
	case "/v1/chat/completions", "/v1/completions", "/v1/fim/completions", "/v1/models":
		return true
	}
	return false
}

// wireTime writes a moment as every answer does.
func wireTime(t time.Time) string { return t.UTC().Format(hub.TimeFormat) }
