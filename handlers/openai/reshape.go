package openai

import "github.com/duckwire/duckwire/hub/jsonw"

// hasOtherShape reports whether a chunk's text is not where clients of the format read it: in delta.content for
// shapeText, in text for shapeFIM.
func hasOtherShape(chunk []byte, s shape) bool {
	stray := "text"
	if s == shapeText {
		stray = "delta"
	}
	for name, choices := range jsonw.Members(chunk) {
		if string(name) != "choices" {
			continue
		}
		for choice := range jsonw.Elements(choices) {
			for name := range jsonw.Members(choice) {
				if string(name) == stray {
					return true
				}
			}
		}
	}
	return false
}

// appendReshaped appends a chunk with its text where the format has it; the rest is unchanged.
func appendReshaped(dst, chunk []byte, s shape) []byte {
	dst = append(dst, '{')
	for name, value := range jsonw.Members(chunk) {
		dst = jsonw.AppendKey(dst, name)
		switch {
		case string(name) == "choices" && value[0] == '[':
			dst = appendReshapedChoices(dst, value, s)
		case string(name) == "object" && s == shapeText:
			dst = jsonw.AppendString(dst, objectText)
		case string(name) == "object":
			dst = jsonw.AppendString(dst, objectChatChunk)
		default:
			dst = append(dst, value...)
		}
	}
	return append(dst, '}')
}

func appendReshapedChoices(dst, choices []byte, s shape) []byte {
	dst = append(dst, '[')
	first := true
	for choice := range jsonw.Elements(choices) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if choice[0] != '{' {
			dst = append(dst, choice...)
			continue
		}
		dst = append(dst, '{')
		for name, value := range jsonw.Members(choice) {
			switch {
			case s == shapeFIM && string(name) == "text":
				dst = append(jsonw.AppendKey(dst, "delta"), `{"content":`...)
				dst = append(append(dst, value...), '}')
			case s == shapeText && string(name) == "delta":
				dst = appendDeltaAsText(dst, value)
			default:
				dst = append(jsonw.AppendKey(dst, name), value...)
			}
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendDeltaAsText appends the members of a delta as members of its choice: content becomes text, the role is dropped.
func appendDeltaAsText(dst, delta []byte) []byte {
	text := []byte(`""`)
	for name, value := range jsonw.Members(delta) {
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
