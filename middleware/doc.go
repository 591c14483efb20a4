// Package middleware provides general HTTP middleware: request ids, access log, recovery from panics, CORS, security
// headers, limits on request bodies and connections, and client addresses behind proxies. Authentication is in package
// auth.
//
// A middleware is a func(http.Handler) http.Handler. Those that reject requests take an ErrorWriter, so that this
// package is independent of the error format. Wrapped ResponseWriters implement Unwrap, Flush and Hijack. The order,
// from the outside in: RequestID, AccessLog, Recover, SecurityHeaders, CORS, then per group of routes
// auth.Authenticate. Handlers read bodies through DecodeBody or PlainBody.
package middleware

import "net/http"

// ErrorWriter answers a request with an error in the server's error format. It is called before anything is written.
type ErrorWriter func(w http.ResponseWriter, r *http.Request, err error)
