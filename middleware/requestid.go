package middleware

import (
	"context"
	"crypto/rand"
	"net/http"
)

// RequestIDHeader carries the id of a request, both ways.
const RequestIDHeader = "X-Request-Id"

const maxRequestID = 128 // bytes

type requestIDKey struct{}

// RequestID gives each request an id: the incoming X-Request-Id if it is 1 to 128 characters of [A-Za-z0-9._~:/+=-] and no token, else a new random
// one of 26 characters. It is in the context (RequestIDFrom) and in the response's header.
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

// RequestIDFrom returns the id that RequestID gave the request, or "".
func RequestIDFrom(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// saneRequestID keeps what goes into logs and headers short and free of surprises.
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
