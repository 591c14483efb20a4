// Package auth authenticates requests, and authorizes actions by asking an application.
//
// A Verifier validates API keys and JWTs, which are signed with a shared secret, with static public keys, or with keys
// that are fetched (JWKS). Authenticate is the middleware that requires a valid credential, and Sockets does the same
// for socket handshakes. A URLAuthorizer asks an application over HTTP about actions that the token does not allow.
// Failures limits failed attempts per address.
//
// The package depends on hub/rights only: identities, capabilities, authorizers and revocations. It does not depend on
// topics or streams.
package auth
