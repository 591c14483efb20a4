package middleware

import (
	"context"
	"crypto/rand"
	"net/http"
)

// RequestIDHeader carries the request's id in requests and responses.
const RequestIDHeader = "X-Request-Id"

const maxRequestID = 128 // bytes

type requestIDKey struct{}

// RequestID assigns each request an id: the incoming X-Request-Id if it is 1 to 128 characters of [A-Za-z0-9._~:/+=-]
// and does not look like a token, otherwise a random one of 26 characters. It is available in the context
// (RequestIDFrom) and in the response's header.
func RequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(RequestIDHeader)
		if !saneRequestID(id) {
			id = rand.Text()
		}
		w.Header().Set(RequestIDHeader, id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
	})
}

// RequestIDFrom returns the id that RequestID assigned, or "".
func RequestIDFrom(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// saneRequestID reports whether a client's id is safe to copy into logs and headers.
func saneRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID || LogText(id) != id {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '~', c == ':', c == '/', c == '+', c == '=', c == '-':
		default:
			return false
		}
	}
	return true
}
