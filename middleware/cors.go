package middleware

import (
	"net/http"
	"strings"
)

// CORSOptions say which pages of other origins may use the server. The zero value: none.
type CORSOptions struct {
	AllowedOrigins []string // such as https://app.example.com; "*": any other page too, but without credentials
	AllowHeaders   []string // request headers beside those of sse.md 8.2
	ExposeHeaders  []string // response headers beside those that carry a position
}

const (
	corsMethods = "GET, POST, PUT, DELETE, HEAD, OPTIONS"
	corsMaxAge  = "7200" // seconds; the most that Chromium keeps
)

var (
	corsAllowHeaders  = []string{"Authorization", "Content-Type", "Last-Event-ID", "Prefer", "Idempotency-Key", "If-None-Match", "Producer-Id", "Producer-Epoch", "Producer-Seq"}
	corsExposeHeaders = []string{"Location", "Duckwire-Stream", "Retry-After", "ETag", "Content-Range", "Duckwire-Position", "Stream-Next-Offset"}
)

// CORS answers preflights, without authentication, and marks every other response, errors included, as readable by allowed origins (sse.md section 8;
// WHATWG Fetch §3.2). An origin that is not allowed gets its response without marks: the browser keeps it from the page.
//
// Headers are set before the handler runs, so that whatever it answers has them.
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

// markOrigin sets what lets a page of the origin read the response, and reports whether it may.
func markOrigin(h http.Header, origin string, allowed *Origins) bool {
	if len(allowed.exact) > 0 || allowed.Any {
		h.Add("Vary", "Origin") // also where it is not allowed: a cache must not hand that answer to one that is
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

// isPreflight tells a browser's question from an OPTIONS request that means itself (WHATWG Fetch §3.2.2).
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}
