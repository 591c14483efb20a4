// Package middleware holds what stands before every handler: who asks (Verifier, Authenticate), whether they may (URLAuthorizer), and the
// plumbing of requests (ids, access log, panics, CORS, headers, body limits).
//
// A middleware is a func(http.Handler) http.Handler. Those that refuse requests are given an ErrorWriter, so that this package knows no error
// format. Wrapped ResponseWriters have Unwrap, and pass Flush and Hijack on. The order that makes sense, from the outside in: RequestID, AccessLog,
// Recover, SecurityHeaders, CORS, then per group of routes Authenticate and BodyLimit.
package middleware

import "net/http"

// ErrorWriter answers a request with an error, in whatever format the server speaks. It is called before anything was written.
type ErrorWriter func(w http.ResponseWriter, r *http.Request, err error)
