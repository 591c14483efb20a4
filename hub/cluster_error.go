package hub

import (
	"errors"
	"fmt"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// errNotOwner means that a node was asked about a stream that it does not own.
var errNotOwner = fmt.Errorf("the stream is not this node's: %w", errs.ErrNotFound)

// remoteError is an error in an answer to another node. It has what callers distinguish errors by.
type remoteError struct {
	Kind    string   `json:"kind"`
	Message string   `json:"message"`
	Receipt *Receipt `json:"receipt,omitempty"` // ended
	Epoch   int64    `json:"epoch,omitempty"`   // fenced
	Job     bool     `json:"job,omitempty"`
	A, B    int64    `json:",omitempty"` // gap: expected, received; lease: left in ns; limit: the limit, retry in ns
	Field   string   `json:"field,omitempty"`

	Conflict bool `json:"conflict,omitempty"` // field: the kind is errs.ErrConflict
}

// errorKinds has the errors that are encoded by what they match (errors.Is).
var errorKinds = map[string]error{
	"not mine":    errNotOwner,
	"forbidden":   errs.ErrForbidden,
	"not found":   errs.ErrNotFound,
	"conflict":    errs.ErrConflict,
	"too large":   errs.ErrTooLarge,
	"limited":     errs.ErrLimited,
	"queue full":  errs.ErrQueueFull,
	"closed":      errs.ErrClosed,
	"unavailable": errs.ErrUnavailable,
}

// encodeError returns the encoding of an error.
func encodeError(err error) *remoteError {
	f := &remoteError{Kind: "other", Message: err.Error()}
	var (
		ended  *EndedError
		fenced *FencedError
		gap    *GapError
		lease  *LeaseError
		field  *errs.FieldError
		limit  *errs.LimitError
	)
	switch {
	case errors.As(err, &ended):
		f.Kind, f.Receipt = "ended", &ended.Receipt
	case errors.As(err, &fenced):
		f.Kind, f.Epoch, f.Job = "fenced", fenced.Epoch, fenced.Job
	case errors.As(err, &gap):
		f.Kind, f.A, f.B = "gap", gap.Expected, gap.Received
	case errors.As(err, &lease):
		f.Kind, f.A = "lease", int64(lease.Left)
	case errors.As(err, &field):
		f.Kind, f.Field, f.Message, f.Conflict = "field", field.Field, field.Reason, field.Kind == errs.ErrConflict
	case errors.As(err, &limit):
		f.Kind, f.Field, f.Message = "limit", errorKind(limit.Kind), limit.Name
		f.A, f.B = limit.Limit, int64(limit.Retry)
	default:
		f.Kind = errorKind(err)
	}
	return f
}

// errorKind returns the key in errorKinds of what err matches; "other" if it matches none.
func errorKind(err error) string {
	if errors.Is(err, errNotOwner) {
		return "not mine"
	}
	for name, kind := range errorKinds {
		if errors.Is(err, kind) {
			return name
		}
	}
	return "other"
}

// decode returns an error that callers cannot distinguish from the one that encodeError was given.
func (f *remoteError) decode() error {
	switch f.Kind {
	case "ended":
		return &EndedError{Receipt: *f.Receipt}
	case "fenced":
		return &FencedError{Epoch: f.Epoch, Job: f.Job}
	case "gap":
		return &GapError{Expected: f.A, Received: f.B}
	case "lease":
		return &LeaseError{Left: time.Duration(f.A)}
	case "field":
		field := &errs.FieldError{Field: f.Field, Reason: f.Message}
		if f.Conflict {
			field.Kind = errs.ErrConflict
		}
		return field
	case "limit":
		return &errs.LimitError{Kind: errorKinds[f.Field], Name: f.Message, Limit: f.A, Retry: time.Duration(f.B)}
	case "not mine":
		return errNotOwner
	}
	if kind := errorKinds[f.Kind]; kind != nil {
		return fmt.Errorf("%s: %w", f.Message, kind)
	}
	return errors.New(f.Message)
}
