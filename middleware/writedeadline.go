package middleware

import (
	"net/http"
	"time"
)

// FreshWriteDeadline clears the connection's write deadline before each request. Handlers set a deadline on the
// connection for each write, and without this a leftover one would abort a later response on the same connection.
func FreshWriteDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // unsupported by test recorders only
		next.ServeHTTP(w, r)
	})
}
