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
		case "object":
			if string(value) == `"`+objectChat+`"` {
				value = []byte(`"` + objectChatChunk + `"`)
			}
			dst = append(jsonw.AppendKey(dst, name), value...)
		case "choices":
			dst = unstreamChoices(jsonw.AppendKey(dst, name), value)
		default:
			dst = append(jsonw.AppendKey(dst, name), value...)
		}
	}
	return append(dst, '}')
}

func unstreamChoices(dst, choices []byte) []byte {
	dst = append(dst, '[')
	n := 0
	for choice := range jsonw.Elements(choices) {
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		if choice[0] != '{' {
			dst = append(dst, choice...)
			continue
		}
		dst = append(dst, '{')
		for name, value := range jsonw.Members(choice) {
			if string(name) == "message" {
				dst = unstreamMessage(jsonw.AppendKey(dst, "delta"), value)
				continue
			}
			dst = append(jsonw.AppendKey(dst, name), value...)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
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
	dst = append(dst, '[')
	i := 0
	for call := range jsonw.Elements(calls) {
		if i > 0 {
			dst = append(dst, ',')
		}
		if call[0] == '{' {
			dst = strconv.AppendInt(append(dst, `{"index":`...), int64(i), 10)
			for name, value := range jsonw.Members(call) {
				if string(name) != "index" {
					dst = append(jsonw.AppendKey(dst, name), value...)
				}
			}
			dst = append(dst, '}')
		} else {
			dst = append(dst, call...)
		}
		i++
	}
	return append(dst, ']')
}
