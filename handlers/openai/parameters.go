package openai

import (
	"encoding/json"
	"math"

	"github.com/duckwire/duckwire/hub/errs"
)

// CheckParameters checks the model's parameters in a body that was decoded with DecodeRequest. It is for messages of
// Duckwire's own, whose members no upstream judges under these names. Errors: *errs.FieldError.
func CheckParameters(body map[string]json.RawMessage) error {
	d := decoder{members: body}
	for _, name := range []string{"max_tokens", "max_completion_tokens"} {
		raw := d.get(name)
		if n, ok := integerOf(raw); raw != nil && (!ok || n < 1 || n > math.MaxInt32) {
			return errs.Invalid(name, "must be an integer from 1 to %d", math.MaxInt32)
		}
	}
	if raw := d.get("seed"); raw != nil {
		if _, ok := integerOf(raw); !ok {
			return errs.Invalid("seed", "must be an integer")
		}
	}
	for _, name := range []string{"temperature", "top_p", "frequency_penalty", "presence_penalty"} {
		var n float64
		if raw := d.get(name); raw != nil && json.Unmarshal(raw, &n) != nil {
			return errs.Invalid(name, "must be a number")
		}
	}
	if raw := d.get("stop"); raw != nil && string(raw) != "[]" && d.texts("stop") == nil {
		return errs.Invalid("stop", "must be a string or an array of strings")
	}
	return nil
}
