package middleware

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// maxBasePath is the longest base path, in bytes.
const maxBasePath = 256

// basePath is the form of a base path. None of its characters has a meaning in HTML, headers or URLs.
var basePath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$`)

// CheckBasePath returns an error if path is neither "" nor a base path, such as "/duck".
func CheckBasePath(path string) error {
	if path != "" && (len(path) > maxBasePath || !basePath.MatchString(path)) {
		return fmt.Errorf("%.100q must begin with a slash, end without one, and consist of letters, digits and . _ ~ - /"+
			" (at most %d bytes), such as /duck", path, maxBasePath)
	}
	return nil
}

type basePathKey struct{}

// BasePath serves a site below a base path: the X-Forwarded-Prefix of a trusted proxy, or else the configured path. It
// removes the base path from the request's URL if it is there; proxies may pass it on or remove it. A request for the
// base path alone is redirected to the one with a slash, since relative URLs of pages depend on it.
func BasePath(configured string, proxies *Proxies) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			base := configured
			if prefix := r.Header.Get("X-Forwarded-Prefix"); prefix != "" && proxies.Trusts(PeerAddr(r.RemoteAddr)) {
				if prefix = strings.TrimSuffix(prefix, "/"); CheckBasePath(prefix) == nil {
					base = prefix
				}
			}
			if base == "" {
				next.ServeHTTP(w, r)
				return
			}
			if r.URL.Path == base && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
				to := url.URL{Path: base + "/", RawQuery: r.URL.RawQuery}
				http.Redirect(w, r, to.String(), http.StatusTemporaryRedirect)
				return
			}
			r = r.WithContext(context.WithValue(r.Context(), basePathKey{}, base))
			if strings.HasPrefix(r.URL.Path, base+"/") {
				u := *r.URL
				u.Path, u.RawPath = u.Path[len(base):], strings.TrimPrefix(u.RawPath, base)
				r.URL = &u
			}
			next.ServeHTTP(w, r)
		})
	}
}

// BasePathOf returns the path below which the client sees the site, such as "/duck", or "".
func BasePathOf(ctx context.Context) string {
	base, _ := ctx.Value(basePathKey{}).(string)
	return base
}
