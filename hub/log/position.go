package log

import (
	"strconv"
	"strings"

	"github.com/duckwire/duckwire/hub/errs"
)

// MaxPosition is the longest position that ParsePosition reads, in bytes.
const MaxPosition = 64

// Position is a place in one log: after the entry with this offset. The zero value is before the oldest entry that the
// log has.
//
// Its text is EPOCH.OFFSET, which is opaque to clients; "0" is the beginning and "now" the tail.
type Position struct {
	Epoch  string // "": the beginning or, with Now, the tail; Offset is not used
	Offset uint64
	Now    bool // the tail at the time of use
}

// ParsePosition parses a position from a client. It refuses the empty text: callers decide what no position means.
func ParsePosition(s string) (Position, error) {
	switch {
	case s == "0":
		return Position{}, nil
	case s == "now":
		return Position{Now: true}, nil
	case len(s) > MaxPosition:
		return Position{}, errs.Invalid("position",
			"must be at most %d bytes, as it was received; got %d", MaxPosition, len(s))
	}
	epoch, digits, ok := strings.Cut(s, ".")
	if !ok || !validEpoch(epoch) {
		return Position{}, errPosition
	}
	offset, ok := parseOffset(digits)
	if !ok {
		return Position{}, errPosition
	}
	return Position{Epoch: epoch, Offset: offset}, nil
}

var errPosition = errs.Invalid("position", `must be a position as it was received (EPOCH.OFFSET), or "0", or "now"`)

// String returns the text that ParsePosition reads.
func (p Position) String() string {
	switch {
	case p.Now:
		return "now"
	case p.Epoch == "":
		return "0"
	}
	var buf [MaxPosition]byte
	return string(p.Append(buf[:0]))
}

// Append appends EPOCH.OFFSET to dst. The position must have an epoch.
func (p Position) Append(dst []byte) []byte {
	dst = append(dst, p.Epoch...)
	dst = append(dst, '.')
	return strconv.AppendUint(dst, p.Offset, 10)
}

func validEpoch(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '-' && c != '_' && c != '~' {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// parseOffset accepts one text per value: decimal, without a sign or leading zeros.
func parseOffset(s string) (uint64, bool) {
	if s == "" || len(s) > 1 && s[0] == '0' || s[0] == '+' || s[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil
}
