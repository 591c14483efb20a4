package local

import (
	"context"
	"strings"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/local/internal/predict"
)

// noCode is the answer to a chat without code that could be continued.
const noCode = "This is duckwire-local, Duckwire's built-in completer. It is no neural model and cannot converse; " +
	"it continues repetitive code from what the request shows (put the code in a fenced block), " +
	"and found nothing to continue here. For a language model, " +
	"set DUCKWIRE_UPSTREAM_URL to an OpenAI-compatible server (a URL that ends in /v1)."

// readChat finds the code in the last user message: the last fenced block, open or closed, or else the whole message
// if it looks like code. The rest of the conversation serves as further context.
func readChat(messages []hub.Message) task {
	t := task{chat: true}
	last := -1
	for i, m := range messages {
		if m.Role == "user" {
			last = i
		}
	}
	for i, m := range messages {
		if i != last && m.Role != "system" && m.Role != "developer" {
			t.request.Extra = append(t.request.Extra, valid(m.Content))
		}
	}
	if last < 0 {
		return t
	}
	text := valid(messages[last].Content)
	code, lang, before, ok := lastFence(text)
	if !ok && looksLikeCode(text) {
		code, ok = text, true
	}
	if !ok {
		return t
	}
	if before != "" {
		t.request.Extra = append(t.request.Extra, before)
	}
	t.code, t.lang = true, lang
	t.request.Prefix = strings.TrimRight(code, "\r\n")
	t.ended = len(t.request.Prefix) < len(code)
	t.line = t.request.Prefix[strings.LastIndexByte(t.request.Prefix, '\n')+1:]
	return t
}

// lastFence finds the last block between lines of ```, which may be unclosed. before is the text in front of it.
func lastFence(text string) (code, lang, before string, ok bool) {
	open, start := false, 0
	var fence string
	for at := 0; at < len(text); {
		end := strings.IndexByte(text[at:], '\n')
		next := at + end + 1
		if end < 0 {
			end, next = len(text)-at, len(text)
		}
		line := strings.TrimSpace(text[at : at+end])
		switch mark := fenceMark(line); {
		case mark == "":
		case !open:
			open, fence, start = true, mark, next
			lang, before = strings.TrimSpace(line[len(mark):]), text[:at]
		case strings.HasPrefix(line, fence) && strings.Trim(line, fence[:1]) == "":
			open, code, ok = false, text[start:at], true
		}
		at = next
	}
	if open {
		return text[start:], lang, before, true
	}
	return code, lang, before, ok
}

// fenceMark returns the run of at least three backticks or tildes at the beginning of a line.
func fenceMark(line string) string {
	n := 0
	for n < len(line) && line[n] == line[0] && (line[0] == '`' || line[0] == '~') {
		n++
	}
	if n < 3 {
		return ""
	}
	return line[:n]
}

// looksLikeCode reports whether most lines of a text look like lines of code.
func looksLikeCode(text string) bool {
	code, all := 0, 0
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" {
			continue
		}
		all++
		switch {
		case line[0] == '\t', strings.HasPrefix(line, "  "), strings.ContainsAny(line[len(line)-1:], "{}();,:[]="),
			strings.ContainsAny(line, "=;{}<>()[]") && !strings.HasSuffix(line, "."):
			code++
		}
	}
	return all > 1 && code*3 >= all*2
}

// writeChat writes a fenced block. It begins with the line that the continuation completes.
func (t *task) writeChat(ctx context.Context, c *predict.Completion, first []string, out *writer) error {
	if !t.code {
		return sentence(noCode, out)
	}
	head := "```" + t.lang + "\n"
	begun := false
	err := lines(ctx, c, first, func(tok string) error {
		if begun {
			return out.token(tok)
		}
		begun = true
		if err := out.token(head); err != nil {
			return err
		}
		if body := strings.TrimLeft(tok, "\r\n"); len(body) < len(tok) {
			return out.token(body)
		}
		return out.token(t.line + tok)
	})
	switch {
	case err != nil:
		return err
	case !begun:
		return sentence(noCode, out)
	}
	return out.token("\n```\n")
}

// sentence writes prose, one word at a time.
func sentence(text string, out *writer) error {
	for _, word := range strings.SplitAfter(text, " ") {
		if err := out.token(word); err != nil {
			return err
		}
	}
	return nil
}
