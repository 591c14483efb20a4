package middleware

import "net/http"

// SecurityHeaders sets X-Content-Type-Options: nosniff on every response, errors included, so that browsers never
// interpret content that a user published as a script or a page.
func SecurityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
