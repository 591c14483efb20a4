package hub

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
	"sync/atomic"
)

// MaxPosition is the longest position that ParsePosition reads, in bytes (protocol/sse.md 3.2).
const MaxPosition = 64

// Position is a place in one log: after the entry with this offset. The zero value is the beginning of whatever the log keeps.
//
// Its text is EPOCH.OFFSET, opaque to clients; "0" is the beginning and "now" the tail.
type Position struct {
	Epoch  string // "" where Offset says nothing: the beginning, or Now
	Offset uint64
	Now    bool // the tail, wherever it is
}

// ParsePosition reads a position from a client. The empty text is not one: callers decide what absence means.
func ParsePosition(s string) (Position, error) {
	switch {
	case s == "0":
		return Position{}, nil
	case s == "now":
		return Position{Now: true}, nil
	case len(s) > MaxPosition:
		return Position{}, Invalid("position", "must be at most %d bytes, as it was received; got %d", MaxPosition, len(s))
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

var errPosition = Invalid("position", `must be a position as it was received (EPOCH.OFFSET), or "0", or "now"`)

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

// Append appends EPOCH.OFFSET to dst. It must not be called on the beginning or on Now, which have no epoch.
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

// parseOffset reads one encoding per value: decimal, no sign, no leading zero.
func parseOffset(s string) (uint64, bool) {
	if s == "" || len(s) > 1 && s[0] == '0' || s[0] == '+' || s[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil
}

// epochs hands out the epochs of one hub: BOOT-N, where BOOT is random for each start of the program and N counts its logs. So no two logs
// ever share one, and a position over many logs (Vector) needs to tell BOOT only once.
type epochs struct {
	boot string
	next atomic.Uint64
}

func newEpochs() *epochs {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return &epochs{boot: base64.RawURLEncoding.EncodeToString(b[:])}
}

// take returns a new epoch. BOOT may itself hold a '-': the count is what follows the last one.
func (e *epochs) take() string {
	return e.boot + "-" + strconv.FormatUint(e.next.Add(1), 36)
}

// Vector is a place in several logs at once: the id of a block on GET /v1/events, in the order of the URL's topics (protocol/sse.md 9.1).
type Vector []Position

// MaxVector is how long the text of a vector may be before a browser's reconnect costs a CORS preflight (protocol/sse.md 3.2), in bytes.
// Sixteen logs that were begun by one program stay below it; logs of several programs may take up to maxVectorText.
const MaxVector = 128

// maxVectorText bounds what ParseVector reads of n positions.
func maxVectorText(n int) int { return MaxVector + n*MaxPosition }

// Append appends the vector's text: "V" and the base64url of, for each position, uvarint(count of its epoch) and uvarint(offset), behind
// the BOOT that they share. A position of another BOOT is written with it. Only '.', '_', '-' and alphanumerics occur.
func (v Vector) Append(dst []byte) []byte {
	var boot string
	if len(v) > 0 {
		boot, _ = splitEpoch(v[0].Epoch)
	}
	raw := make([]byte, 0, 96)
	for _, p := range v {
		b, n := splitEpoch(p.Epoch)
		if b == boot {
			raw = binary.AppendUvarint(raw, n<<1)
		} else {
			raw = binary.AppendUvarint(raw, n<<1|1)
			raw = append(raw, byte(len(b)))
			raw = append(raw, b...)
		}
		raw = binary.AppendUvarint(raw, p.Offset)
	}
	dst = append(dst, boot...)
	dst = append(dst, '.', 'V')
	return base64.RawURLEncoding.AppendEncode(dst, raw)
}

// ParseVector reads the text of a vector of n positions. "0" and "now" stand for n of them.
func ParseVector(s string, n int) (Vector, error) {
	if s == "0" || s == "now" {
		v := make(Vector, n)
		for i := range v {
			v[i].Now = s == "now"
		}
		return v, nil
	}
	boot, text, ok := strings.Cut(s, ".V")
	if !ok || len(s) > maxVectorText(n) || !validEpoch(boot) {
		return nil, errVector
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, errVector
	}
	v := make(Vector, 0, n)
	for len(raw) > 0 && len(v) < n {
		var p Position
		if p, raw, ok = takePosition(raw, boot); !ok {
			return nil, errVector
		}
		v = append(v, p)
	}
	if len(v) != n || len(raw) > 0 {
		return nil, Invalid("position", "is of another number of topics than the %d asked for; resume with the same topics in the same order", n)
	}
	return v, nil
}

var errVector = Invalid("position", `must be an id as it was received from this endpoint for these topics, or "0", or "now"`)

func takePosition(raw []byte, boot string) (Position, []byte, bool) {
	n, k := binary.Uvarint(raw)
	if k <= 0 {
		return Position{}, nil, false
	}
	raw = raw[k:]
	if n&1 == 1 {
		if len(raw) < 1 || len(raw) < 1+int(raw[0]) {
			return Position{}, nil, false
		}
		boot, raw = string(raw[1:1+raw[0]]), raw[1+raw[0]:]
		if !validEpoch(boot) {
			return Position{}, nil, false
		}
	}
	offset, k := binary.Uvarint(raw)
	if k <= 0 || offset > 1<<63-1 {
		return Position{}, nil, false
	}
	return Position{Epoch: boot + "-" + strconv.FormatUint(n>>1, 36), Offset: offset}, raw[k:], true
}

// splitEpoch takes an epoch apart into BOOT and N.
func splitEpoch(epoch string) (string, uint64) {
	i := strings.LastIndexByte(epoch, '-')
	if i < 0 {
		return epoch, 0
	}
	n, _ := strconv.ParseUint(epoch[i+1:], 36, 62)
	return epoch[:i], n
}
