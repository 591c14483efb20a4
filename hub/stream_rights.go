package hub

import (
	"context"
	"errors"
	"fmt"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
)

// RightsTopic is the topic whose rights hold for the stream: the one that it is announced on, else one of its own.
func (s *Stream) RightsTopic() string {
	if s.Topic != "" {
		return s.Topic
	}
	return "stream:" + s.ID
}

// AuthorizeRead allows a stream's owner, and who may subscribe its topic. For anybody else the stream does not exist
// (ErrNotFound), so that ids cannot be guessed at.
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

// AuthorizeCancel allows a stream's owner who may complete or produce, and admins of its topic. Errors: ErrForbidden.
func AuthorizeCancel(ctx context.Context, az rights.Authorizer, id *rights.Identity, s *Stream) error {
	if s.Owner == id.User {
		for _, a := range []rights.Action{rights.ActionComplete, rights.ActionProduce} {
			if rights.AuthorizeAnywhere(ctx, az, id, a) == nil {
				return nil
			}
		}
	}
	if err := az.Authorize(ctx, id, s.RightsTopic(), rights.ActionAdmin); err != nil {
		return fmt.Errorf("only its owner, with the right to complete or produce, or an admin may cancel a stream: %w", errs.ErrForbidden)
	}
	return nil
}
