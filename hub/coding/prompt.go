package coding

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/duckwire/duckwire/hub/jsonw"
)

// prompt builds a chat message.
type prompt struct{ text strings.Builder }

// line adds a line, unless it is empty.
func (b *prompt) line(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); line != "" {
		b.text.WriteString(line + "\n")
	}
}

func (b *prompt) named(name, value string) {
	if value != "" {
		b.line("%s: %s", name, value)
	}
}

// list adds values of any JSON type: strings unquoted, all others as JSON.
func (b *prompt) list(name string, values []json.RawMessage) {
	if len(values) == 0 {
		return
	}
	b.line("%s:", name)
	for _, raw := range values {
		if s, ok := jsonw.String(raw); ok {
			b.line("%s", s)
		} else {
			b.line("%s", string(raw))
		}
	}
}

// code adds a fenced block. Its fence is longer than any fence in the code.
func (b *prompt) code(language, code string) {
	fence := "```"
	for strings.Contains(code, fence) {
		fence += "`"
	}
	b.line("%s%s\n%s\n%s", fence, language, strings.TrimSuffix(code, "\n"), fence)
}
