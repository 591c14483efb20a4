// Package rights decides who may do what: it has identities, their capabilities, the Authorizer, and the revoked
// tokens. It does not depend on streams or on a transport.
package rights
