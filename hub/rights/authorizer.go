package rights

import (
	"context"
	"fmt"

	"github.com/duckwire/duckwire/hub/errs"
)

// Authorizer decides whether an identity may do something on a topic.
//
// Authorize returns nil for yes. Errors: one that matches ErrForbidden for no, ErrUnauthenticated if id is nil,
// ErrUnavailable if the decision cannot be had now (which must be treated as no), or ctx's error. It is safe for
// concurrent use, and asked again on every resume.
type Authorizer interface {
	Authorize(ctx context.Context, id *Identity, topic string, a Action) error
}

// CapsAuthorizer decides by the identity's own capabilities alone.
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

// AuthorizeAnywhere allows what names no topic: whoever may do it on any, or to whom the application allows it on their
// own user topic.
func AuthorizeAnywhere(ctx context.Context, az Authorizer, id *Identity, a Action) error {
	if id.Caps.AllowsAny(a) {
		return nil
	}
	return az.Authorize(ctx, id, "user:"+id.User, a)
}
