package openai

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/jsonw"
)

// AppendError appends OpenAI's error body: {"error":{"message","type","param","code"}}. An empty param or code is null.
func AppendError(dst []byte, message, typ, param, code string) []byte {
	dst = append(dst, `{"error":{"message":`...)
	dst = jsonw.AppendString(dst, message)
	dst = append(dst, `,"type":`...)
	dst = jsonw.AppendString(dst, typ)
	dst = append(dst, `,"param":`...)
	dst = jsonw.AppendStringOrNull(dst, param)
	dst = append(dst, `,"code":`...)
	dst = jsonw.AppendStringOrNull(dst, code)
	return append(dst, "}}"...)
}

// AppendErrorBody appends an upstream's own error, untouched, where body is one: the whole body {"error": …}, or the object within. It
// appends what AppendError makes of the rest where body is empty, not a JSON object, not UTF-8 or not on one line.
func AppendErrorBody(dst []byte, body json.RawMessage, message, typ, param, code string) []byte {
	if len(body) < 3 || body[0] != '{' || !utf8.Valid(body) || !json.Valid(body) || hasLineEnd(body) {
		return AppendError(dst, message, typ, param, code)
	}
	for name := range jsonw.Members(body) {
		if string(name) == "error" {
			return append(dst, body...)
		}
	}
	return append(append(append(dst, `{"error":`...), body...), '}')
}

func hasLineEnd(b []byte) bool {
	for _, c := range b {
		if c == '\n' || c == '\r' {
			return true
		}
	}
	return false
}
