package middleware

import (
	"net/http"
	"net/url"
	"strings"
)

// Origins is a set of web origins (RFC 6454), such as https://app.example.com.
type Origins struct {
	Any   bool // the list contains "*"
	exact map[string]bool
}

// NewOrigins parses a configured list. An entry is scheme://host[:port] or "*". "null" is ignored: every sandboxed page
// and local file has that origin.
func NewOrigins(list []string) *Origins {
	o := &Origins{exact: make(map[string]bool, len(list))}
	for _, origin := range list {
		switch origin = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(origin), "/")); origin {
		case "*":
			o.Any = true
		case "", "null":
		default:
			o.exact[origin] = true
		}
	}
	return o
}

// Named reports whether the list contains the origin itself; "*" does not count.
func (o *Origins) Named(origin string) bool { return o.exact[strings.ToLower(origin)] }

// SameHost reports whether origin is the host that the request was sent to. It ignores the scheme: behind a proxy that
// terminates TLS, the server does not know it.
func SameHost(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	port, ok := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return ok && strings.EqualFold(strings.TrimSuffix(u.Host, port), strings.TrimSuffix(r.Host, port))
}
