package openai

import "github.com/duckwire/duckwire/hub/jsonw"

// hasOtherShape reports whether an answer's or a chunk's text is not where clients of the format read it: in
// message.content or delta.content for shapeText, in text for shapeFIM.
func hasOtherShape(answer []byte, s shape) bool {
	for name, choices := range jsonw.Members(answer) {
		if string(name) != "choices" {
			continue
		}
		for choice := range jsonw.Elements(choices) {
			for name := range jsonw.Members(choice) {
				if isStray(name, s) {
					return true
				}
			}
		}
	}
	return false
}

// isStray reports whether the member of a choice belongs to another format.
func isStray(name []byte, s shape) bool {
	switch string(name) {
	case "delta", "message":
		return s == shapeText
	case "text":
		return s != shapeText
	}
	return false
}

// reshaper moves the text of answers to where a format has it; the rest stays unchanged.
type reshaper struct {
	shape shape
	whole bool // complete answers; false: chunks
}

func (r reshaper) append(dst, answer []byte) []byte {
	dst = append(dst, '{')
	for name, value := range jsonw.Members(answer) {
		dst = jsonw.AppendKey(dst, name)
		switch {
		case string(name) == "choices" && value[0] == '[':
			dst = r.appendChoices(dst, value)
		case string(name) == "object":
			dst = jsonw.AppendString(dst, r.object())
		default:
			dst = append(dst, value...)
		}
	}
	return append(dst, '}')
}

func (r reshaper) object() string {
	switch {
	case r.shape == shapeText:
		return objectText
	case r.whole:
		return objectChat
	}
	return objectChatChunk
}

func (r reshaper) appendChoices(dst, choices []byte) []byte {
	return appendObjects(dst, choices, func(dst []byte, _ int, choice []byte) []byte {
		for name, value := range jsonw.Members(choice) {
			switch {
			case !isStray(name, r.shape):
				dst = append(jsonw.AppendKey(dst, name), value...)
			case r.shape == shapeText:
				dst = appendMessageAsText(dst, value)
			case r.whole:
				dst = append(jsonw.AppendKey(dst, "message"), `{"role":"assistant","content":`...)
				dst = append(append(dst, value...), '}')
			default:
				dst = append(jsonw.AppendKey(dst, "delta"), `{"content":`...)
				dst = append(append(dst, value...), '}')
			}
		}
		return dst
	})
}

// appendMessageAsText appends the members of a message or a delta as members of its choice: content becomes text, the
// role is dropped.
func appendMessageAsText(dst, message []byte) []byte {
	text := []byte(`""`)
	for name, value := range jsonw.Members(message) {
		switch {
		case string(name) == "content" && value[0] == '"':
			text = value
		case string(name) == "content", string(name) == "role":
		default:
			dst = append(jsonw.AppendKey(dst, name), value...)
		}
	}
	return append(jsonw.AppendKey(dst, "text"), text...)
}
