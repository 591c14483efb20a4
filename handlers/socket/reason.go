package socket

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// reasons maps errors to the reason of an error reply. The first match is used.
var reasons = []struct {
	err    error
	reason string
}{
	{errs.ErrInvalid, "invalid"},
	{errs.ErrUnauthenticated, "unauthorized"},
	{errs.ErrForbidden, "forbidden"},
	{errs.ErrNotFound, "not_found"},
	{errs.ErrConflict, "conflict"},
	{errs.ErrTooLarge, "too_large"},
	{errs.ErrLimited, "rate_limited"},
	{errs.ErrQueueFull, "queue_full"},
	{errs.ErrClosed, "draining"},
	{errs.ErrUnavailable, "unavailable"},
}

// errorReply is the response of an error reply.
type errorReply struct {
	Reason     string `json:"reason"`
	Detail     string `json:"detail,omitempty"`         // human-readable
	Field      string `json:"field,omitempty"`          // the invalid member of the payload
	Limit      int64  `json:"limit,omitempty"`          // the limit that was reached
	RetryAfter int64  `json:"retry_after_ms,omitempty"` // with jitter
}

// Reason returns the response of an error reply: a Refusal's own response, else
// {"reason","detail"?,"field"?,"limit"?,"retry_after_ms"?}. Errors that are not in the table are "internal", without a
// detail.
func Reason(err error) any {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.Response
	}
	r := errorReply{Reason: "internal"}
	for _, k := range reasons {
		if errors.Is(err, k.err) {
			r.Reason, r.Detail = k.reason, err.Error()
			break
		}
	}
	var field *errs.FieldError
	var limit *errs.LimitError
	switch {
	case errors.As(err, &field):
		r.Field = field.Field
	case errors.As(err, &limit):
		r.Limit = limit.Limit
		if limit.Retry > 0 {
			r.RetryAfter = (limit.Retry + rand.N(limit.Retry) + time.Millisecond).Milliseconds()
		}
	}
	return r
}

// isInternal reports whether an error is a server error, which is logged.
func isInternal(err error) bool {
	r, ok := Reason(err).(errorReply)
	return ok && r.Reason == "internal"
}

// decodeObject reads a JSON object into v. Errors are *errs.FieldError.
func decodeObject(raw json.RawMessage, v any) error {
	if trimmed := bytes.TrimLeft(raw, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return errs.Invalid("payload", "must be a JSON object")
	}
	err := json.Unmarshal(raw, v)
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		field := kind.Field
		if field == "" {
			field = "payload"
		}
		return errs.Invalid(field, "must be %s; got %s", typeName(kind), kind.Value)
	}
	if err != nil {
		return errs.Invalid("payload", "%v", err)
	}
	return nil
}

// typeName names the JSON type that a Go type decodes.
func typeName(e *json.UnmarshalTypeError) string {
	switch e.Type.Kind().String() {
	case "string":
		return "a string"
	case "bool":
		return "true or false"
	case "slice", "array":
		return "an array"
	case "map", "struct":
		return "an object"
	case "int", "int64", "int32", "uint", "uint64":
		return "a whole number"
	}
	return "a number"
}
