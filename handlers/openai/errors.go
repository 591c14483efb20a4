package openai

import (
	"bytes"
	"encoding/json"
	"net/http"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// AppendError appends OpenAI's error body on one line: {"error":{"message","type","param","code"}}. Empty values are
// null, except the message.
func AppendError(dst []byte, message, typ, param, code string) []byte {
	dst = append(dst, `{"error":{"message":`...)
	dst = jsonw.AppendString(dst, message)
	dst = append(dst, `,"type":`...)
	dst = jsonw.AppendStringOrNull(dst, typ)
	dst = append(dst, `,"param":`...)
	dst = jsonw.AppendStringOrNull(dst, param)
	dst = append(dst, `,"code":`...)
	dst = jsonw.AppendStringOrNull(dst, code)
	return append(dst, "}}"...)
}

// AppendErrorBody appends the upstream's own error if body is a JSON object, changing only white space: either the
// whole {"error": …}, or the object within. Otherwise it appends AppendError of the other arguments.
func AppendErrorBody(dst []byte, body json.RawMessage, message, typ, param, code string) []byte {
	own := compact(body)
	if own == nil {
		return AppendError(dst, message, typ, param, code)
	}
	return appendOwn(dst, own)
}

func appendOwn(dst []byte, own []byte) []byte {
	for name := range jsonw.Members(own) {
		if string(name) == "error" {
			return append(dst, own...)
		}
	}
	dst = append(append(dst, `{"error":`...), own...)
	return append(dst, '}')
}

// compact returns body as a JSON object on one line, or nil if it is not a non-empty object in UTF-8.
func compact(body []byte) []byte {
	if len(body) == 0 || !utf8.Valid(body) {
		return nil
	}
	var b bytes.Buffer
	if json.Compact(&b, body) != nil || b.Len() < 3 || b.Bytes()[0] != '{' {
		return nil
	}
	return b.Bytes()
}

// ErrorType returns OpenAI's type of an error.
func ErrorType(e *hub.EndError) string {
	if e.Type != "" {
		return e.Type
	}
	return typeOfStatus(e.Status)
}

func typeOfStatus(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusForbidden:
		return "permission_error"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status >= 400 && status < 500:
		return "invalid_request_error"
	}
	return "server_error"
}
