package openai

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/duckwire/duckwire/hub"
)

const roles = "system, developer, user, assistant, tool or function"

func knownRole(role string) bool {
	switch role {
	case "system", "developer", "user", "assistant", "tool", "function":
		return true
	}
	return false
}

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
		in := decoder{members: members, path: fmt.Sprintf("messages[%d].", i)}
		req.Messages = append(req.Messages, in.message())
		d.err = in.err
	}
}

// message decodes one message; its content may be a string, an array of parts, or null (with tool calls).
func (d *decoder) message() hub.Message {
	m := hub.Message{Role: d.string("role")}
	switch {
	case m.Role == "":
		d.fail("role", "is missing; it must be %s", roles)
	case !knownRole(m.Role):
		d.fail("role", "is %q; it must be %s", m.Role, roles)
	}
	raw := d.get("content")
	if raw == nil {
		return m
	}
	if raw[0] == '"' {
		m.Content = d.string("content")
		return m
	}
	m.Content = d.parts(d.array("content", "a string or an array of parts"))
	return m
}

// parts concatenates the text of a message's parts. The upstream validates parts of other types.
func (d *decoder) parts(elements []json.RawMessage) string {
	var text strings.Builder
	for i, raw := range elements {
		members := d.objectIn(raw, "content[%d]", i)
		if d.err != nil {
			return ""
		}
		in := decoder{members: members, path: fmt.Sprintf("%scontent[%d].", d.path, i)}
		switch in.string("type") {
		case "":
			in.fail("type", "is missing")
		case "text":
			if in.get("text") == nil {
				in.fail("text", "is missing")
			}
			text.WriteString(in.string("text"))
		}
		d.err = in.err
	}
	return text.String()
}
