package openai

import (
	"strconv"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// AppendAnswer appends an answer that the upstream did not stream, in compact JSON: unchanged, unless the path has
// another format than the upstream's.
func AppendAnswer(dst, answer []byte, meta *hub.CompletionMeta) []byte {
	shape := shapeOf(meta)
	if shape == shapeChat || !hasOtherShape(answer, shape) {
		return append(dst, answer...)
	}
	return reshaper{shape: shape, whole: true}.append(dst, answer)
}

// unstream converts a complete answer, in compact JSON, to one equivalent chunk without usage: each choice's message
// becomes its delta.
func unstream(answer []byte) []byte {
	dst := []byte{'{'}
	for name, value := range jsonw.Members(answer) {
		switch string(name) {
		case "usage":
			continue
		case "choices":
			dst = unstreamChoices(jsonw.AppendKey(dst, name), value)
			continue
		case "object":
			if string(value) == `"`+objectChat+`"` {
				value = []byte(`"` + objectChatChunk + `"`)
			}
		}
		dst = append(jsonw.AppendKey(dst, name), value...)
	}
	return append(dst, '}')
}

func unstreamChoices(dst, choices []byte) []byte {
	return appendObjects(dst, choices, func(dst []byte, _ int, choice []byte) []byte {
		for name, value := range jsonw.Members(choice) {
			if string(name) == "message" {
				dst = unstreamMessage(jsonw.AppendKey(dst, "delta"), value)
				continue
			}
			dst = append(jsonw.AppendKey(dst, name), value...)
		}
		return dst
	})
}

func unstreamMessage(dst, message []byte) []byte {
	if message[0] != '{' {
		return append(dst, message...)
	}
	dst = append(dst, '{')
	for name, value := range jsonw.Members(message) {
		dst = jsonw.AppendKey(dst, name)
		if string(name) == "tool_calls" && value[0] == '[' {
			dst = appendIndexed(dst, value)
		} else {
			dst = append(dst, value...)
		}
	}
	return append(dst, '}')
}

// appendIndexed appends tool calls with the index that they have in a stream.
func appendIndexed(dst, calls []byte) []byte {
	return appendObjects(dst, calls, func(dst []byte, i int, call []byte) []byte {
		dst = strconv.AppendInt(jsonw.AppendKey(dst, "index"), int64(i), 10)
		for name, value := range jsonw.Members(call) {
			if string(name) != "index" {
				dst = append(jsonw.AppendKey(dst, name), value...)
			}
		}
		return dst
	})
}

// appendObjects appends an array. members appends the members of an object in it, the i-th element; what is no object
// stays unchanged.
func appendObjects(dst, array []byte, members func(dst []byte, i int, object []byte) []byte) []byte {
	dst = append(dst, '[')
	i := 0
	for element := range jsonw.Elements(array) {
		if i > 0 {
			dst = append(dst, ',')
		}
		if element[0] == '{' {
			dst = append(members(append(dst, '{'), i, element), '}')
		} else {
			dst = append(dst, element...)
		}
		i++
	}
	return append(dst, ']')
}
