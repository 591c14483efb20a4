package openai

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/duckwire/duckwire/hub/errs"
)

// decoder decodes the members of one JSON object and records the first error. After an error its methods return zero
// values.
type decoder struct {
	members map[string]json.RawMessage
	path    string // prefix of member names in errors, such as "duckwire."
	err     error
}

func (d *decoder) fail(name, format string, args ...any) {
	if d.err == nil {
		d.err = errs.Invalid(d.path+name, format, args...)
	}
}

// get returns a member, or nil if it is absent or null.
func (d *decoder) get(name string) json.RawMessage {
	raw := d.members[name]
	if d.err != nil || len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return raw
}

func (d *decoder) string(name string) (s string) {
	if raw := d.get(name); raw != nil && json.Unmarshal(raw, &s) != nil {
		d.fail(name, "must be a string")
	}
	return s
}

// stringIn decodes a string in an array; format and args name it.
func (d *decoder) stringIn(raw json.RawMessage, format string, args ...any) (s string) {
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		d.fail(fmt.Sprintf(format, args...), "must be a string")
	}
	return s
}

func (d *decoder) bool(name string) (b bool) {
	if raw := d.get(name); raw != nil && json.Unmarshal(raw, &b) != nil {
		d.fail(name, "must be true or false")
	}
	return b
}

// integer decodes an integer of 64 bits; 16.0 is accepted.
func (d *decoder) integer(name string) int64 {
	raw := d.get(name)
	if raw == nil {
		return 0
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		d.fail(name, "must be an integer")
		return 0
	}
	return int64(f)
}

// positive decodes an integer from 1 to 2^31-1; 0 means absent.
func (d *decoder) positive(name string) int64 {
	if d.get(name) == nil {
		return 0
	}
	n := d.integer(name)
	if n < 1 || n > math.MaxInt32 {
		d.fail(name, "must be an integer from 1 to %d", math.MaxInt32)
		return 0
	}
	return n
}

func (d *decoder) object(name string) map[string]json.RawMessage {
	if raw := d.get(name); raw != nil {
		return d.objectIn(raw, "%s", name)
	}
	return nil
}

func (d *decoder) objectIn(raw json.RawMessage, format string, args ...any) (members map[string]json.RawMessage) {
	if raw[0] != '{' || json.Unmarshal(raw, &members) != nil {
		d.fail(fmt.Sprintf(format, args...), "must be an object")
	}
	return members
}

func (d *decoder) array(name, what string) (elements []json.RawMessage) {
	if raw := d.get(name); raw != nil && json.Unmarshal(raw, &elements) != nil {
		d.fail(name, "must be %s", what)
	}
	return elements
}
