package openai

import "github.com/duckwire/duckwire/hub/jsonw"

// join returns the text of a JSON string. Upstreams that count in UTF-16 may split a surrogate pair, with \ud83e at
// the end of one chunk and \udd86 at the start of the next. The first half is held back until the second arrives,
// because the text must always be valid UTF-8.
func (a *answer) join(raw []byte) string {
	if len(raw) < 2 {
		return ""
	}
	if len(a.half) > 0 && len(raw) > 2 {
		raw = append(append([]byte{'"'}, a.half...), raw[1:]...)
		a.half = a.half[:0]
	}
	if n := len(raw) - len(`\udxxx"`); n > 0 && endsInHalf(raw[:len(raw)-1]) {
		a.half = append(a.half[:0], raw[n:len(raw)-1]...)
		raw = append(append([]byte(nil), raw[:n]...), '"')
	}
	s, _ := jsonw.String(raw)
	return s
}

// flush replaces a half that was never completed by U+FFFD.
func (a *answer) flush() error {
	if len(a.half) == 0 {
		return nil
	}
	a.half = a.half[:0]
	return a.w.Text("\ufffd")
}

// endsInHalf reports whether the content of a JSON string ends in the escape of a high surrogate, \ud800 to \udbff.
func endsInHalf(s []byte) bool {
	n := len(s) - len(`\udxxx`)
	if n < 0 || s[n] != '\\' || s[n+1] != 'u' || s[n+2]|0x20 != 'd' {
		return false
	}
	switch s[n+3] | 0x20 {
	case '8', '9', 'a', 'b':
	default:
		return false
	}
	escapes := 0 // after an odd number of backslashes comes an escape, after an even number a literal u
	for i := n; i >= 0 && s[i] == '\\'; i-- {
		escapes++
	}
	return escapes%2 == 1
}
