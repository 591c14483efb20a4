package middleware

import (
	"net/http"
	"time"
)

// FreshWriteDeadline begins each request without a write deadline. Handlers set one for each of their writes, on the connection itself; what
// is left of it there would otherwise cut a later, innocent answer on the same connection.
func FreshWriteDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // unsupported by test recorders only
		next.ServeHTTP(w, r)
	})
}
