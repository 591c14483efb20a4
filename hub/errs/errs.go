// Package errs has the errors of the hub. Every layer matches them; only the handlers turn them into statuses.
package errs

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The kinds of errors.
var (
	ErrInvalid         = errors.New("invalid")                 // the caller's input is wrong; wrapped by *FieldError
	ErrUnauthenticated = errors.New("unauthenticated")         // no credential, or an invalid one
	ErrForbidden       = errors.New("forbidden")               // the identity may not do this
	ErrNotFound        = errors.New("not found")               // no such stream, or one the caller may not see
	ErrConflict        = errors.New("conflict")                // an id is taken, or reused for something else
	ErrTooLarge        = errors.New("too large")               // over a byte limit; wrapped by *LimitError
	ErrLimited         = errors.New("limit reached")           // over a count or rate; wrapped by *LimitError
	ErrQueueFull       = errors.New("queue full")              // a user's queue is full; wrapped by *LimitError
	ErrClosed          = errors.New("closed")                  // the stream has ended, or the hub is draining
	ErrUnavailable     = errors.New("temporarily unavailable") // a part that the answer needs does not respond
)

// FieldError says what is wrong with one field of the caller's input. It matches its Kind.
type FieldError struct {
	Field  string // as the caller wrote it: "payload", "duckwire.keep.cancel_after", "?limit"
	Reason string // what is wrong and what would be right, without the field's name
	Kind   error  // ErrInvalid or ErrConflict; nil: ErrInvalid
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// Is reports that a FieldError is of its Kind.
func (e *FieldError) Is(target error) bool { return target == cmp.Or(e.Kind, ErrInvalid) }

// Invalid returns a *FieldError with a formatted reason.
func Invalid(field, format string, args ...any) error {
	return &FieldError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// LimitError says which limit was reached, and when to try again. It matches its Kind.
type LimitError struct {
	Kind  error         // ErrTooLarge, ErrLimited or ErrQueueFull
	Name  string        // what is limited: "message bytes", "streams per user"
	Limit int64         // the limit's value
	Retry time.Duration // how long to wait; 0: waiting does not help
}

func (e *LimitError) Error() string { return fmt.Sprintf("%s: the limit is %d", e.Name, e.Limit) }

// Is reports that a LimitError is of its Kind.
func (e *LimitError) Is(target error) bool { return target == e.Kind }

// Setting returns the name of the setting that has the limit: the word in parentheses in Name, or Name itself if it is
// one word, or else "other".
func (e *LimitError) Setting() string {
	name := e.Name
	if open, end := strings.LastIndexByte(name, '('), strings.LastIndexByte(name, ')'); open >= 0 && open < end {
		name = name[open+1 : end]
	}
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return c != '_' && (c < 'a' || c > 'z') }) {
		return "other"
	}
	return name
}
