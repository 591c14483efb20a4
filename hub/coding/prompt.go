package coding

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/duckwire/duckwire/hub/jsonw"
)

// prompt is a chat message in the making: what the client said, in the order in which a reader would want it, and
// nothing else.
type prompt struct{ text strings.Builder }

// line adds a line, unless there is nothing in it.
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

// list adds values that the client may write as it likes: strings as they are, all else as JSON.
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

// code adds a fenced block, whose fence is longer than any in it.
func (b *prompt) code(language, code string) {
	fence := "```"
	for strings.Contains(code, fence) {
		fence += "`"
	}
	b.line("%s%s\n%s\n%s", fence, language, strings.TrimSuffix(code, "\n"), fence)
}
