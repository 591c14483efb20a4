package middleware

import (
	"net/http"
	"net/url"
	"strings"
)

// origins is a set of web origins (RFC 6454), such as https://app.example.com.
type origins struct {
	any   bool // "*" is among them
	exact map[string]bool
}

// newOrigins reads a configured list. An entry is scheme://host[:port], or "*". "null" is what every sandboxed page and local file calls itself,
// so it is never matched.
func newOrigins(list []string) *origins {
	o := &origins{exact: make(map[string]bool, len(list))}
	for _, origin := range list {
		switch origin = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(origin), "/")); origin {
		case "*":
			o.any = true
		case "", "null":
		default:
			o.exact[origin] = true
		}
	}
	return o
}

// named reports whether the list names this very origin; "*" names none.
func (o *origins) named(origin string) bool { return o.exact[strings.ToLower(origin)] }

// sameHost reports whether origin is the host that the request was sent to. The scheme cannot be compared: behind a proxy that ends TLS, the
// server does not see it.
func sameHost(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	port, ok := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return ok && strings.EqualFold(strings.TrimSuffix(u.Host, port), strings.TrimSuffix(r.Host, port))
}
