package handlers

import (
	"crypto/sha256"
	"encoding/hex"
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

// ownResources are the resources under /v1 that only Duckwire has. All others are those of OpenAI's API.
var ownResources = []string{
	"streams", "analyses", "workers", "topics", "events", "users", "revocations", "overview",
}

// openAIResources are the resources of OpenAI's API that this server answers itself.
var openAIResources = []string{"chat", "completions", "fim", "models"}

// RootSegments are the first segments of the server's own paths. No base path begins with one, because a path could
// then be meant with or without it.
var RootSegments = []string{
	"v1", "ds", "api", "socket", "console", "docs", "debug", "healthz", "readyz", "metrics", "openapi.yaml",
}

// IsOwnPath reports whether a path, without the /v1/ before it, is one that the server answers itself, or is below one.
// Such a path cannot be passed to the upstream.
func IsOwnPath(path string) bool {
	resource, _, _ := strings.Cut(path, "/")
	return slices.Contains(ownResources, resource) || slices.Contains(openAIResources, resource)
}

// isOpenAIPath reports whether a path is one of OpenAI's API, so that errors have OpenAI's format.
func isOpenAIPath(path string) bool {
	rest, ok := strings.CutPrefix(path, apiRoot+"/")
	resource, _, _ := strings.Cut(rest, "/")
	return ok && resource != "" && !slices.Contains(ownResources, resource)
}

// wireTime formats a time as all answers do.
func wireTime(t time.Time) string { return t.UTC().Format(hub.TimeFormat) }
