package rights

import (
	"context"
	"fmt"

	"github.com/duckwire/duckwire/hub/errs"
)

// Authorizer decides whether an identity may do something on a topic.
//
// Authorize returns nil if the action is allowed. Errors: one that matches ErrForbidden if it is not;
// ErrUnauthenticated if id is nil; ErrUnavailable if no decision can be made now, which callers must treat as not
// allowed; ctx's error. It is safe for concurrent use, and is called again on every resume.
type Authorizer interface {
	Authorize(ctx context.Context, id *Identity, topic string, a Action) error
}

// CapsAuthorizer decides only by the identity's own capabilities.
type CapsAuthorizer struct{}

// Authorize implements Authorizer. Its error says which action on which topic is missing.
func (CapsAuthorizer) Authorize(_ context.Context, id *Identity, topic string, a Action) error {
	switch {
	case id == nil:
		return errs.ErrUnauthenticated
	case id.Caps.Allows(topic, a):
		return nil
	}
	return Forbidden(topic, a)
}

// Forbidden returns the error for an action that is not allowed on a topic. It matches ErrForbidden.
func Forbidden(topic string, a Action) error {
	return fmt.Errorf("the action %q is not allowed on the topic %.255q: %w", string(a), topic, errs.ErrForbidden)
}

// AuthorizeAnywhere authorizes an action that names no topic. It is allowed to those whose capabilities allow it on any
// topic, and to those whom az allows it on their own user topic.
func AuthorizeAnywhere(ctx context.Context, az Authorizer, id *Identity, a Action) error {
	if id.Caps.AllowsAny(a) {
		return nil
	}
	return az.Authorize(ctx, id, "user:"+id.User, a)
}
