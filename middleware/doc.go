// Package middleware is what any HTTP server has before its handlers: request ids, access log, recovery from
// panics, CORS, headers, limits of bodies and of connections, addresses behind proxies. Who asks, and whether they
// may, is package auth's.
//
// A middleware is a func(http.Handler) http.Handler. Those that refuse requests are given an ErrorWriter, so that
// this package knows no error format. Wrapped ResponseWriters have Unwrap, and pass Flush and Hijack on. The order,
// from the outside in: RequestID, AccessLog, Recover, SecurityHeaders, CORS, then per group of routes
// auth.Authenticate and BodyLimit.
package middleware

import "net/http"

// ErrorWriter answers a request with an error, in whatever format the server speaks. It is called before anything
// was written.
type ErrorWriter func(w http.ResponseWriter, r *http.Request, err error)
