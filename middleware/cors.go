package middleware

import (
	"net/http"
	"strings"
)

// CORSOptions configure which other origins may use the server. The zero value allows none.
type CORSOptions struct {
	AllowedOrigins []string // such as https://app.example.com; "*" allows any origin, but without credentials
	AllowHeaders   []string // request headers in addition to corsAllowHeaders
	ExposeHeaders  []string // response headers in addition to corsExposeHeaders
}

const (
	corsMethods = "GET, POST, PUT, DELETE, HEAD, OPTIONS"
	corsMaxAge  = "7200" // seconds; the maximum that Chromium honors
)

var (
	corsAllowHeaders = []string{
		"Authorization", "Content-Type", "Last-Event-ID", "Prefer", "Idempotency-Key",
		"If-None-Match", "Producer-Id", "Producer-Epoch", "Producer-Seq",
	}
	corsExposeHeaders = []string{
		"Location", "Duckwire-Stream", "Retry-After", "ETag", "Content-Range",
		"Duckwire-Position", "Stream-Next-Offset",
	}
)

// CORS answers preflights without authentication, and adds CORS headers to every other response to an allowed origin,
// errors included (WHATWG Fetch §3.2). An origin that is not allowed gets its response without them, and
// the browser does not let the page read it.
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
					w.Header().Set("Access-Control-Allow-Methods", corsMethods)
					w.Header().Set("Access-Control-Allow-Headers", allowHeaders)
					w.Header().Set("Access-Control-Max-Age", corsMaxAge)
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

// markOrigin sets the headers that let a page of the origin read the response, and reports whether the origin is
// allowed.
func markOrigin(h http.Header, origin string, allowed *Origins) bool {
	if len(allowed.exact) > 0 || allowed.Any {
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
