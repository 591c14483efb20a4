package jsonw

import "bytes"

// ReplaceLoneSurrogates returns a JSON text in which each escape of a lone surrogate, such as \ud83d, is \ufffd. Such an
// escape is no Unicode text: JavaScript reads it, and many other readers refuse the whole text. This is the replacement
// of Web IDL's USVString. The result is text itself if there is nothing to replace, else a copy of the same length. text
// must be valid JSON.
func ReplaceLoneSurrogates(text []byte) []byte {
	out := text
	for i := 0; ; {
		next := bytes.IndexByte(text[i:], '\\')
		if next < 0 {
			return out
		}
		i += next
		n, lone := escapeAt(text[i:])
		if lone {
			if &out[0] == &text[0] {
				out = bytes.Clone(text)
			}
			copy(out[i:], `\ufffd`)
		}
		i += n
	}
}

// escapeLength is the length of an escape such as \ud83d.
const escapeLength = 6

// escapeAt returns the length of the escape sequence at the beginning of b, and whether it is a lone surrogate. A pair
// of surrogates is one sequence.
func escapeAt(b []byte) (n int, lone bool) {
	if b[1] != 'u' {
		return 2, false
	}
	if !isHalf(b, '8') {
		return escapeLength, false
	}
	if !isHalf(b, 'c') && isHalf(b[escapeLength:], 'c') {
		return 2 * escapeLength, false
	}
	return escapeLength, true
}

// isHalf reports whether b begins with the escape of a surrogate whose second digit is at least from: c for those that
// end a pair, 8 for all.
func isHalf(b []byte, from byte) bool {
	return len(b) >= escapeLength && b[0] == '\\' && b[1] == 'u' && b[2]|0x20 == 'd' && b[3]|0x20 >= from
}
