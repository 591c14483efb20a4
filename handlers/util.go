package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// digest identifies the content of a request, so that an idempotency id cannot be reused for another request.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write([]byte(p)) // a hash never fails
		_, _ = h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// isOpenAIPath reports whether a request's path is OpenAI-compatible, so that errors have OpenAI's format.
func (s *server) isOpenAIPath(r *http.Request) bool {
	path := strings.TrimSuffix(r.URL.Path, "/")
	switch path {
	case "/v1/chat/completions", "/v1/completions", "/v1/fim/completions", "/v1/models":
		return true
	}
	return strings.HasPrefix(path, modelsPrefix) || slices.Contains(s.UpstreamPaths, strings.TrimPrefix(path, "/v1/"))
}

// wireTime formats a time as all answers do.
func wireTime(t time.Time) string { return t.UTC().Format(hub.TimeFormat) }
