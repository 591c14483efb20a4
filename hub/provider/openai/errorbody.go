package openai

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/duckwire/duckwire/hub/jsonw"
)

// errorWords is what an upstream's error says.
type errorWords struct {
	message, typ, param, code string
	status                    int // from 400 to 599; 0: it does not say
	// the error for the client in OpenAI's shape, unchanged: {"error":{…}} or the inner object; nil: none
	object []byte
}

// readError reads an error's body. These shapes are understood, and any nesting of them:
//
//	{"error":{"message","type","param","code"}}   OpenAI
//	{"error":"text"}                              Ollama
//	{"object":"error","message","type","code"}    vLLM
//	{"detail":"text"}                             FastAPI
//	{"detail":[{"loc":[…],"msg":"text"}]}         FastAPI
//	[{"error":{"code":400,"message"}}]            Google
//	{"errors":[…]}, {"message"}, {"msg"}, {"error_description"}, {"title","detail"}
func readError(body []byte) errorWords {
	var e errorWords
	var line bytes.Buffer
	if json.Compact(&line, body) != nil {
		return e
	}
	e.read(line.Bytes(), 0)
	if stringMember(jsonw.Member(line.Bytes(), "error"), "message") { // with what stands beside the error
		e.object = bytes.Clone(line.Bytes())
	}
	return e
}

// maxNesting is how deep errors are nested.
const maxNesting = 4

// read reads one value of compact JSON. What was read before takes precedence.
func (e *errorWords) read(value []byte, depth int) {
	if depth > maxNesting || len(value) == 0 {
		return
	}
	switch value[0] {
	case '"':
		if s, _ := jsonw.String(value); e.message == "" {
			e.message = s
		}
	case '[':
		for element := range jsonw.Elements(value) {
			e.read(element, depth+1)
		}
	case '{':
		e.readObject(value, depth)
	}
}

func (e *errorWords) readObject(object []byte, depth int) {
	var own errorWords // this object's words, before those of an inner or an outer one
	var inner [][]byte
	for name, value := range jsonw.Members(object) {
		s, isText := jsonw.String(value)
		switch strings.ToLower(string(name)) {
		case "message", "msg", "error_description", "error_msg", "error_message", "faultstring", "reason":
			if isText && own.message == "" {
				own.message = s
			} else if !isText {
				inner = append(inner, value)
			}
		case "error", "errors", "detail", "details", "fault", "body":
			inner = append(inner, value)
		case "loc": // where in the request
			own.param = joinPath(value)
		case "type":
			own.typ = s
		case "param":
			own.param = s
		case "code", "error_code":
			if own.status = cmp.Or(own.status, statusOf(value)); own.status == 0 || isText {
				own.code = s
			}
		case "status", "status_code", "statuscode", "http_code":
			own.status = cmp.Or(own.status, statusOf(value))
		}
	}
	if own.message != "" && own.param != "" && hasMember(object, "loc") {
		own.message = own.param + ": " + own.message
	}
	e.take(&own, object)
	for _, value := range inner {
		e.read(value, depth+1)
	}
}

// take takes over the words of an object that is nested in what was read before.
func (e *errorWords) take(own *errorWords, object []byte) {
	if e.message == "" && own.message != "" {
		e.message = own.message
		if !hasMember(object, "loc") && stringMember(object, "message") {
			e.object = bytes.Clone(object)
		}
	}
	if e.typ == "" {
		e.typ = own.typ
	}
	if e.param == "" {
		e.param = own.param
	}
	if e.code == "" {
		e.code = own.code
	}
	if e.status == 0 {
		e.status = own.status
	}
}

// statusOf returns the HTTP status of an error that a number or a string of digits tells, or 0.
func statusOf(value []byte) int {
	n, err := strconv.Atoi(strings.Trim(string(value), `"`))
	if err != nil || n < http.StatusBadRequest || n > 599 {
		return 0
	}
	return n
}

// joinPath returns an array such as ["body","messages",0] as body.messages.0.
func joinPath(list []byte) string {
	var parts []string
	for element := range jsonw.Elements(list) {
		parts = append(parts, strings.Trim(string(element), `"`))
	}
	return strings.Join(parts, ".")
}

func hasMember(object []byte, name string) bool { return jsonw.Member(object, name) != nil }

// stringMember reports whether an object has a member that is a string, and not an empty one.
func stringMember(object []byte, name string) bool {
	value := jsonw.Member(object, name)
	return len(value) > len(`""`) && isString(value)
}

// isFault reports whether an object or array in compact JSON, in the place of a chunk or of a whole answer, is an
// error: it has an error, says that it is one, or has nothing of an answer but a message.
func isFault(raw []byte) bool {
	if raw[0] == '[' { // Google
		for element := range jsonw.Elements(raw) {
			return element[0] == '{' && isFault(element)
		}
		return false
	}
	answer, words, failed := false, false, false
	for name, value := range jsonw.Members(raw) {
		switch string(name) {
		case "error", "errors":
			if !isEmpty(value) {
				return true
			}
			failed = failed || !jsonw.IsNull(value)
		case "object", "type", "status":
			if saysError(value) {
				return true
			}
		case "choices", "usage", "id":
			answer = answer || !isEmpty(value) || string(name) == "choices"
		case "message", "detail", "msg", "error_msg", "error_message", "error_code", "error_description":
			words = words || !isEmpty(value)
		}
	}
	return (words || failed) && !answer
}

// saysError reports whether the value of "object", "type" or "status" is that of an error.
func saysError(value []byte) bool { return string(value) == `"error"` }

// isEmpty reports whether a member says nothing.
func isEmpty(value []byte) bool {
	switch string(value) {
	case "", "null", `""`, "{}", "[]", "false", "0":
		return true
	}
	return false
}
