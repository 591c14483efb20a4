// Package auth finds out who a request comes from, and asks an application what that user may do.
//
// A Verifier says whose a token or an API key is: JWTs of a shared secret, of public keys, or of a key set that is
// fetched (JWKS). Authenticate is the middleware that lets requests with a valid credential through, and Sockets
// does the same for handshakes of sockets. A URLAuthorizer asks an application over HTTP what the token itself does
// not allow. Failures limits the refusals of one address.
//
// The package needs the model of rights only: identities, capabilities, authorizers and revocations. It knows no
// streams and no topics' contents.
package auth
