package hub

import (
	"context"
	"errors"
	"fmt"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
)

// RightsTopic returns the topic whose rights apply to the stream: its own, or "stream:ID" if it has none.
func (s *Stream) RightsTopic() string {
	if s.Topic != "" {
		return s.Topic
	}
	return "stream:" + s.ID
}

// AuthorizeRead allows a stream's owner, and whoever may subscribe to its topic. All others get ErrNotFound, so that
// they cannot find out which ids exist.
func AuthorizeRead(ctx context.Context, az rights.Authorizer, id *rights.Identity, s *Stream) error {
	if s.Owner == id.User {
		return nil
	}
	err := az.Authorize(ctx, id, s.RightsTopic(), rights.ActionSubscribe)
	if errors.Is(err, errs.ErrForbidden) {
		return errs.ErrNotFound
	}
	return err
}

// AuthorizeCancel allows a stream's owner with the right to complete or produce anywhere, and admins of its topic.
// Errors: ErrForbidden.
func AuthorizeCancel(ctx context.Context, az rights.Authorizer, id *rights.Identity, s *Stream) error {
	if s.Owner == id.User {
		for _, a := range []rights.Action{rights.ActionComplete, rights.ActionProduce} {
			if rights.AuthorizeAnywhere(ctx, az, id, a) == nil {
				return nil
			}
		}
	}
	if err := az.Authorize(ctx, id, s.RightsTopic(), rights.ActionAdmin); err != nil {
		return fmt.Errorf("only its owner, with the right to complete or produce, or an admin may cancel a stream: %w",
			errs.ErrForbidden)
	}
	return nil
}
