package log

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/duckwire/duckwire/hub/errs"
)

// Vector is a position in several logs, in the order of the URL's topics: the id of a block on GET /v1/events
// (openapi.yaml).
type Vector []Position

// MaxVector is the length in bytes up to which a browser reconnects without a CORS preflight: for a longer
// Last-Event-ID it makes one. A vector of sixteen logs whose epochs have one BOOT stays below it; one of logs with
// several BOOTs may be as long as maxVectorText.
const MaxVector = 128

// maxVectorText is the longest text that ParseVector accepts for n positions.
func maxVectorText(n int) int { return MaxVector + n*MaxPosition }

// Append appends the vector's text: the BOOT of the first position, ".V", and in base64url for each position
// uvarint(N<<1) and uvarint(offset), where BOOT-N is its epoch. For a position of another BOOT, the first is
// uvarint(N<<1|1), then the length of that BOOT and BOOT follow. Only '.', '_', '-' and alphanumerics occur.
func (v Vector) Append(dst []byte) []byte {
	var boot string
	if len(v) > 0 {
		boot, _ = splitEpoch(v[0].Epoch)
	}
	raw := make([]byte, 0, 96)
	for _, p := range v {
		raw = appendElement(raw, p, boot)
	}
	dst = append(dst, boot...)
	dst = append(dst, '.', 'V')
	return base64.RawURLEncoding.AppendEncode(dst, raw)
}

// appendElement appends one position of a vector whose first has that BOOT.
func appendElement(raw []byte, p Position, boot string) []byte {
	b, n := splitEpoch(p.Epoch)
	if b == boot {
		raw = binary.AppendUvarint(raw, n<<1)
	} else {
		raw = binary.AppendUvarint(raw, n<<1|1)
		raw = append(raw, byte(len(b)))
		raw = append(raw, b...)
	}
	return binary.AppendUvarint(raw, p.Offset)
}

// ParseVector parses the text of a vector of n positions. "0" and "now" stand for n of them.
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
		if p, raw, ok = parseElement(raw, boot); !ok {
			return nil, errVector
		}
		v = append(v, p)
	}
	if len(v) != n || len(raw) > 0 {
		return nil, errs.Invalid("position", "is of another number of topics than the %d asked for; "+
			"resume with the same topics in the same order", n)
	}
	return v, nil
}

var errVector = errs.Invalid("position",
	`must be an id as it was received from this endpoint for these topics, or "0", or "now"`)

// parseElement parses the first position of a decoded vector, and returns the rest.
func parseElement(raw []byte, boot string) (Position, []byte, bool) {
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
