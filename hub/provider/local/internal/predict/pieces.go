package predict

import "bytes"

// mapPiece replaces, in the name w, the part in which a differs from b: w = newOpenFile, a = isOpen, b = isClosed
// gives newClosedFile. Parts are whole words of camelCase or snake_case names, and match in any case: OPEN gives
// CLOSED. ASCII names only.
func mapPiece(w, a, b []byte) ([]byte, bool) {
	ra, rb := residue(a, b)
	if len(ra) < 2 || len(rb) < 1 || len(ra) > len(w) {
		return nil, false
	}
	for i := 0; i+len(ra) <= len(w); i++ {
		part := w[i : i+len(ra)]
		if boundary(w, i) && boundary(w, i+len(ra)) && asciiEqualFold(part, ra) {
			out := append([]byte(nil), w[:i]...)
			out = append(out, likeCase(rb, ra, part)...)
			return append(out, w[i+len(ra):]...), true
		}
	}
	return nil, false
}

// residue removes the common first and last words of two names.
func residue(a, b []byte) (ra, rb []byte) {
	i, cut := 0, 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
		if boundary(a, i) && boundary(b, i) {
			cut = i
		}
	}
	a, b = a[cut:], b[cut:]
	i, cut = 0, 0
	for i < len(a) && i < len(b) && a[len(a)-1-i] == b[len(b)-1-i] {
		i++
		if boundary(a, len(a)-i) && boundary(b, len(b)-i) {
			cut = i
		}
	}
	return bytes.Trim(a[:len(a)-cut], "_"), bytes.Trim(b[:len(b)-cut], "_")
}

// boundary reports whether a word within the name w begins or ends at byte i.
func boundary(w []byte, i int) bool {
	if i <= 0 || i >= len(w) {
		return true
	}
	l, r := w[i-1], w[i]
	switch {
	case l >= 0x80 || r >= 0x80:
		return false
	case l == '_' || r == '_', digit(l) != digit(r):
		return true
	case upper(r):
		return !upper(l) || i+1 < len(w) && lower(w[i+1])
	}
	return false
}

// likeCase returns b in the case of part, where part is a in another case.
func likeCase(b, a, part []byte) []byte {
	switch {
	case bytes.Equal(a, part) || len(b) == 0 || b[0] >= 0x80:
		return b
	case len(part) > 1 && bytes.Equal(part, bytes.ToUpper(part)):
		return bytes.ToUpper(b)
	case bytes.Equal(part, bytes.ToLower(part)) && (len(a) < 2 || !bytes.Equal(a[1:], part[1:])):
		return bytes.ToLower(b)
	case lower(part[0]):
		return append(bytes.ToLower(b[:1]), b[1:]...)
	}
	return append(bytes.ToUpper(b[:1]), b[1:]...)
}

func asciiEqualFold(a, b []byte) bool {
	for i := range a {
		x, y := a[i], b[i]
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
func upper(c byte) bool { return c >= 'A' && c <= 'Z' }
func lower(c byte) bool { return c >= 'a' && c <= 'z' }
