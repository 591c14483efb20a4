package middleware

import (
	"net/http"
	"strings"
)

// CORSOptions configure which other origins may use the server. The zero value allows none.
type CORSOptions struct {
	AllowedOrigins []string // see NewOrigins; "*" allows any origin, but without credentials
	AllowHeaders   []string // request headers in addition to corsAllowHeaders, for preflights that name none
	ExposeHeaders  []string // response headers in addition to corsExposeHeaders
}

const (
	corsMethods = "GET, POST, PUT, DELETE, HEAD, OPTIONS"
	corsMaxAge  = "7200" // seconds; the maximum that Chromium honors
)

var (
	corsAllowHeaders = []string{
		"Authorization", "Content-Type", "Last-Event-ID", "Prefer", "Idempotency-Key",
		"If-None-Match", "Producer-Id", "Producer-Epoch", "Producer-Seq", "Api-Key", "X-Api-Key",
	}
	corsExposeHeaders = []string{
		"Location", "Duckwire-Stream", "Retry-After", "ETag", "Content-Range",
		"Duckwire-Position", "Stream-Next-Offset", "X-Request-Id", "WWW-Authenticate", "Allow", "Accept-Encoding",
		// What OpenAI's SDKs read.
		"Retry-After-Ms", "X-Should-Retry", "OpenAI-Model", "OpenAI-Organization", "OpenAI-Processing-Ms",
		"OpenAI-Version", "X-RateLimit-Limit-Requests", "X-RateLimit-Limit-Tokens", "X-RateLimit-Remaining-Requests",
		"X-RateLimit-Remaining-Tokens", "X-RateLimit-Reset-Requests", "X-RateLimit-Reset-Tokens",
	}
)

// CORS answers preflights without authentication, and adds CORS headers to every other response to an allowed origin,
// errors included (WHATWG Fetch §3.2). An origin that is not allowed gets its response without them, and
// the browser does not let the page read it.
//
// An allowed origin may send any request header, because SDKs, tracers and editors add headers of their own. It may also
// reach the server in a private network from a page in the public one (Access-Control-Request-Private-Network).
//
// The headers are set before the handler runs, so that every response has them.
func CORS(o CORSOptions) func(http.Handler) http.Handler {
	allowed := NewOrigins(o.AllowedOrigins)
	allowHeaders := strings.Join(append(append([]string{}, corsAllowHeaders...), o.AllowHeaders...), ", ")
	exposeHeaders := strings.Join(append(append([]string{}, corsExposeHeaders...), o.ExposeHeaders...), ", ")
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			marked := markOrigin(w.Header(), r.Header.Get("Origin"), allowed)
			if isPreflight(r) {
				if marked {
					answerPreflight(w.Header(), r.Header, allowHeaders)
				}
				w.WriteHeader(http.StatusNoContent)
				return
			}
			if marked {
				w.Header().Set("Access-Control-Expose-Headers", exposeHeaders)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// answerPreflight sets the headers that answer the preflight of an allowed origin.
func answerPreflight(h, asked http.Header, allowHeaders string) {
	const private = "Access-Control-Request-Private-Network"
	h.Add("Vary", "Access-Control-Request-Headers")
	h.Add("Vary", private)
	h.Set("Access-Control-Allow-Methods", corsMethods)
	if more := requestedHeaders(asked.Values("Access-Control-Request-Headers")); more != "" {
		allowHeaders += ", " + more
	}
	h.Set("Access-Control-Allow-Headers", allowHeaders)
	h.Set("Access-Control-Max-Age", corsMaxAge)
	if asked.Get(private) == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
}

// The maximum of what a preflight may ask for. An SDK asks for a dozen headers.
const (
	maxRequestedHeaders = 100
	maxRequestedBytes   = 4 << 10
)

// tokenChars are the bytes of a header's name (RFC 9110 §5.6.2).
const tokenChars = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// requestedHeaders returns the names in Access-Control-Request-Headers, or "" if there are none, too many, or one that
// is no header's name: no browser sends that.
func requestedHeaders(lines []string) string {
	list := strings.Join(lines, ",")
	if len(list) > maxRequestedBytes {
		return ""
	}
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.Trim(name, " \t"); name == "" {
			continue
		}
		if strings.Trim(name, tokenChars) != "" {
			return ""
		}
		names = append(names, name)
	}
	if len(names) > maxRequestedHeaders {
		return ""
	}
	return strings.Join(names, ", ")
}

// markOrigin sets the headers that let a page of the origin read the response, and reports whether the origin is
// allowed.
func markOrigin(h http.Header, origin string, allowed *Origins) bool {
	if !allowed.Empty() {
		h.Add("Vary", "Origin") // also if it is not allowed: a cache must not serve that response to an allowed origin
	}
	switch {
	case origin == "":
		return false
	case allowed.Named(origin):
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	case allowed.Any:
		h.Set("Access-Control-Allow-Origin", "*")
	default:
		return false
	}
	return true
}

// isPreflight distinguishes a CORS preflight from a plain OPTIONS request (WHATWG Fetch §3.2.2).
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}
