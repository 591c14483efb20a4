package openai

import (
	"encoding/json"
	"strings"

	"github.com/duckwire/duckwire/hub"
)

// chat decodes the members of chat completions only.
func (d *decoder) chat(req *Request) {
	if d.get("messages") == nil {
		d.fail("messages", "is missing")
		return
	}
	elements := d.array("messages", "an array of messages")
	if len(elements) == 0 {
		d.fail("messages", "is empty; at least one message is needed")
	}
	req.Messages = make([]hub.Message, 0, len(elements))
	for i, raw := range elements {
		members := d.objectIn(raw, "messages[%d]", i)
		if d.err != nil {
			return
		}
		req.Messages = append(req.Messages, messageOf(members))
	}
}

// messageOf decodes one message. Its content may be a string, an array of parts, or null (with tool calls).
func messageOf(members map[string]json.RawMessage) (m hub.Message) {
	_ = json.Unmarshal(members["role"], &m.Role) // stays "" for anything but a string, as do the others
	if json.Unmarshal(members["content"], &m.Content) == nil {
		return m
	}
	var parts []struct{ Type, Text any }
	_ = json.Unmarshal(members["content"], &parts)
	var text strings.Builder
	for _, part := range parts {
		if s, ok := part.Text.(string); ok && part.Type == "text" {
			text.WriteString(s)
		}
	}
	m.Content = text.String()
	return m
}
