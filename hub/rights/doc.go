// Package rights is who may do what: identities, their capabilities, what an Authorizer decides, and which tokens were
// revoked. It knows no streams and no transport.
package rights
