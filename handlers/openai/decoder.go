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

func (d *decoder) bool(name string) (b bool) {
	if raw := d.get(name); raw != nil && json.Unmarshal(raw, &b) != nil {
		d.fail(name, "must be true or false")
	}
	return b
}

// integer decodes an integer as integerOf does. It returns 0 for anything else.
func (d *decoder) integer(name string) int64 {
	n, _ := integerOf(d.get(name))
	return n
}

// integerOf returns the integer that a JSON value is; 16.0 is one, too. ok is false for anything else.
func integerOf(raw json.RawMessage) (n int64, ok bool) {
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// count is integer within 32 bits.
func (d *decoder) count(name string) int {
	return int(max(math.MinInt32, min(math.MaxInt32, d.integer(name))))
}

// texts decodes a string or an array of strings. It returns nil for anything else.
func (d *decoder) texts(name string) (list []string) {
	raw := d.get(name)
	if raw == nil {
		return nil
	}
	if raw[0] == '"' {
		list = make([]string, 1)
		_ = json.Unmarshal(raw, &list[0]) // valid JSON
		return list
	}
	var elements []any
	_ = json.Unmarshal(raw, &elements) // stays empty if it is not an array
	for _, e := range elements {
		s, ok := e.(string)
		if !ok {
			return nil
		}
		list = append(list, s)
	}
	return list
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
