package local

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/local/internal/fim"
	"github.com/duckwire/duckwire/hub/provider/local/internal/predict"
)

// noCode is the answer to a chat without code that could be continued.
const noCode = "This is duckwire-local, Duckwire's built-in completer. It is no neural model and cannot converse; " +
	"it continues repetitive code from what the request shows (put the code in a fenced block), " +
	"and found nothing to continue here. For a language model, " +
	"set DUCKWIRE_UPSTREAM_URL to an OpenAI-compatible server."

// engines are phrases in the instructions of plugins that insert the answer into a file as it is.
var engines = []string{
	"completion engine", "completion ai", "completion assistant", "completion tool", "completion model", "code completer",
	"autocomplet", "auto-complet", "inline completion", "hole filler", "infill", "fill in the middle",
	"fill-in-the-middle", "fill in the missing", "complete the code",
}

// formats are phrases that ask for an answer without a fence, which such plugins also use in the message itself.
var formats = []string{
	"completion engine", "completion system", "hole filler", "only code", "code only", "only the code",
	"only respond with code", "raw code", "no markdown", "without markdown",
	"not use markdown", "not include markdown", "not wrap in markdown",
	"no code fence", "without code fence", "no backticks", "without backticks", "triple backticks", "three backticks",
}

// readChat finds the code in a chat: that of a plugin's prompt (package fim), or else the last fenced block, open or
// closed, of the last user message, or the whole message if it looks like code. The rest of the conversation serves as
// further context. Only a person who has not sent code to continue gets an answer in prose.
func readChat(req *hub.CompletionRequest) task {
	var t task
	in := readInstructions(req)
	if p, ok := readForm(req.Messages, &in); ok {
		t.insert(p)
		return t
	}
	if n := len(req.Messages); n > 0 && req.Messages[n-1].Role == "assistant" {
		return readBegun(req.Messages)
	}
	last := lastUser(req.Messages)
	if last < 0 {
		return talk(in.isPlugin(""))
	}
	text := valid(req.Messages[last].Content)
	code, lang, before, ok := lastFence(text)
	said := before
	if !ok && looksLikeCode(text) {
		code, ok = text, true
	} else if !ok {
		said = text
	}
	switch plugin := in.isPlugin(said); {
	case plugin && ok && code != text: // the line break before the closing fence is not the code's
		t.form, t.request.Prefix = true, strings.TrimSuffix(code, "\n")
	case plugin:
		t.form, t.request.Prefix = true, text
	case !ok:
		return talk(false)
	default:
		t.fence(code, lang)
		if isQuestion(said) {
			t.nothing = noCode
		}
	}
	t.request.Extra = append(others(req.Messages, last), before)
	return t
}

// readBegun continues the last message, in which the client has begun the answer.
func readBegun(messages []hub.Message) task {
	last := len(messages) - 1
	t := task{form: true}
	t.request.Extra = others(messages, last)
	t.request.Prefix = valid(messages[last].Content)
	if code, _, _, ok := lastFence(t.request.Prefix); ok {
		t.request.Prefix = code
	}
	return t
}

// fence makes the task one to continue a fenced block.
func (t *task) fence(code, lang string) {
	t.style, t.lang = fenced, lang
	t.request.Prefix = strings.TrimRight(code, "\r\n")
	t.ended = len(t.request.Prefix) < len(code)
	t.line = t.request.Prefix[strings.LastIndexByte(t.request.Prefix, '\n')+1:]
}

// readForm looks for a plugin's prompt in the last user message. Earlier ones are examples; but if the instructions are
// a plugin's, the last one may ask for another proposal for the same code. If the last message of all is the
// assistant's, it is the beginning of the answer.
func readForm(messages []hub.Message, in *instructions) (fim.Prompt, bool) {
	begun, asked, plugin := "", false, in.isPlugin("")
	for i, m := range slices.Backward(messages) {
		text := valid(m.Content)
		if i == len(messages)-1 && m.Role == "assistant" {
			begun = "\n" + text
		}
		if nothing, ok := fim.Edit(text); ok {
			return fim.Prompt{Nothing: nothing}, true
		}
		if m.Role != "user" || asked && !plugin {
			continue
		}
		asked = true
		if p, ok := fim.ParseChat(text + begun); ok {
			return p, true
		}
	}
	return fim.Prompt{}, false
}

// talk is the task for a chat without code.
func talk(plugin bool) task {
	if plugin {
		return task{style: prose}
	}
	return task{style: prose, nothing: noCode}
}

func lastUser(messages []hub.Message) int {
	for i, m := range slices.Backward(messages) {
		if m.Role == "user" {
			return i
		}
	}
	return -1
}

// others returns the conversation apart from the instructions and the message at last.
func others(messages []hub.Message, last int) (list []string) {
	for i, m := range messages {
		if i != last && m.Role != "system" && m.Role != "developer" {
			list = append(list, valid(m.Content))
		}
	}
	return list
}

// instructions are what a chat's first messages say about its answers.
type instructions struct {
	text      string
	mentioned bool // they mention a mark of package fim
	tools     bool // an agent asks, which shows its answers to a person
}

func readInstructions(req *hub.CompletionRequest) (in instructions) {
	var tools []json.RawMessage
	in.tools = json.Unmarshal(req.Body["tools"], &tools) == nil && len(tools) > 0
	var list []string
	for _, m := range req.Messages {
		if m.Role == "system" || m.Role == "developer" {
			list = append(list, m.Content)
		}
	}
	in.text = strings.Join(list, "\n")
	in.mentioned = fim.Mentions(in.text)
	return in
}

// isPlugin reports whether the instructions, or what the last message says apart from code, ask for code to insert.
func (in *instructions) isPlugin(said string) bool {
	text := in.text
	if strings.HasPrefix(said, "You are ") {
		text += "\n" + said
	}
	return !in.tools && (in.mentioned || containsAny(text, engines) || containsAny(text+said, formats))
}

func containsAny(text string, phrases []string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(phrases, func(s string) bool { return strings.Contains(text, s) })
}

// isQuestion reports whether the text in front of a block asks something.
func isQuestion(text string) bool { return strings.Contains(text, "?") }

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

// writeFenced writes a fenced block. It begins with the line that the continuation completes.
func (t *task) writeFenced(ctx context.Context, c *predict.Completion, first []string, out *writer) error {
	begun := false
	err := lines(ctx, c, first, func(tok string) error {
		if begun {
			return out.token(tok)
		}
		begun = true
		if err := out.token("```" + t.lang + "\n"); err != nil {
			return err
		}
		if body := strings.TrimLeft(tok, "\r\n"); len(body) < len(tok) {
			return out.token(body)
		}
		return out.token(t.line + tok)
	})
	if err != nil {
		return err
	}
	return out.token("\n```\n")
}

// sentence writes prose, one word at a time.
func sentence(text string, out *writer) error {
	if text == "" {
		return nil
	}
	for _, word := range strings.SplitAfter(text, " ") {
		if err := out.token(word); err != nil {
			return err
		}
	}
	return nil
}
