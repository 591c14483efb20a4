package jsonw

import (
	"bytes"
	"encoding/json"
	"iter"
	"unicode/utf8"
)

// Members iterates over the members of a JSON object in order, duplicates included. It yields the unquoted name and
// the value's bytes. Both may point into obj, so the caller must copy them if obj changes later. obj must be valid
// JSON (json.Valid); a value that is not an object has no members. The cost is linear in len(obj), also with deep
// nesting.
func Members(obj []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		i := skipSpace(obj, 0)
		if i >= len(obj) || obj[i] != '{' {
			return
		}
		for {
			i = skipSpace(obj, i+1) // after { or a comma
			if i >= len(obj) || obj[i] != '"' {
				return
			}
			end := skipValue(obj, i)
			name := keyOf(obj[i:end])
			i = skipSpace(obj, end) + 1 // after the colon
			i = skipSpace(obj, i)
			end = skipValue(obj, i)
			if end <= i || !yield(name, obj[i:end]) {
				return
			}
			if i = skipSpace(obj, end); i >= len(obj) || obj[i] != ',' {
				return
			}
		}
	}
}

// Member returns the value of a member of a JSON object, or nil. Of repeated members it is the first.
func Member(obj []byte, name string) []byte {
	for member, value := range Members(obj) {
		if string(member) == name {
			return value
		}
	}
	return nil
}

// Elements iterates over the elements of a JSON array in order, as Members does with an object.
func Elements(arr []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		i := skipSpace(arr, 0)
		if i >= len(arr) || arr[i] != '[' {
			return
		}
		for {
			i = skipSpace(arr, i+1) // after [ or a comma
			if i >= len(arr) || arr[i] == ']' {
				return
			}
			end := skipValue(arr, i)
			if end <= i || !yield(arr[i:end]) {
				return
			}
			if i = skipSpace(arr, end); i >= len(arr) || arr[i] != ',' {
				return
			}
		}
	}
}

// String returns the value of a JSON string; ok is false for any other JSON value. Invalid UTF-8 and escapes of lone
// surrogates become U+FFFD.
func String(raw []byte) (s string, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if in := raw[1 : len(raw)-1]; bytes.IndexByte(in, '\\') < 0 && utf8.Valid(in) {
		return string(in), true
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// IsNull reports whether a value is null or absent.
func IsNull(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

func keyOf(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return bytes.Trim(quoted, `"`)
	}
	s, _ := String(quoted)
	return []byte(s)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipValue returns the index after the value that begins at i.
func skipValue(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = closingQuote(b, i+1)
			if depth == 0 {
				return min(i+1, len(b))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 { // the end of the enclosing value, after a number or a literal
				return i
			}
			if depth == 0 {
				return i + 1
			}
		case ',', ':', ' ', '\n', '\r', '\t':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// closingQuote returns the index of the quotation mark that ends the string whose content begins at i.
func closingQuote(b []byte, i int) int {
	for ; i < len(b) && b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i
}
