package channels

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// generate has the model write code from a description. The answer's text comes as chunks; the last event has the code in it by itself.
func (a *asks) generate(ctx context.Context, m *socket.Message) error {
	var p struct {
		ask
		Prompt       string            `json:"prompt"`
		Language     string            `json:"language"`
		Style        string            `json:"style"`
		PartialCode  string            `json:"partial_code"`
		ProjectFiles []json.RawMessage `json:"project_files"`
		CurrentFile  string            `json:"current_file"`
		Imports      []json.RawMessage `json:"imports"`
		Dependencies []json.RawMessage `json:"dependencies"`
		Examples     []json.RawMessage `json:"examples"`
	}
	if err := m.Decode(&p); err != nil {
		return err
	}
	if p.Prompt == "" && p.PartialCode == "" {
		return errs.Invalid("prompt", "is missing; partial_code will do as well")
	}
	language := languageOf(p.Language, p.CurrentFile)
	if language == "" {
		language = "elixir" // as it is documented
	}
	var b prompt
	b.line("Write %s code. Answer with the code in one fenced block, then a short explanation.", language)
	b.named("Style", p.Style)
	b.named("File", p.CurrentFile)
	b.list("Imports", p.Imports)
	b.list("Dependencies", p.Dependencies)
	b.list("Files of the project", p.ProjectFiles)
	b.list("Examples", p.Examples)
	b.line("%s", p.Prompt)
	if p.PartialCode != "" { // last: a completer that only continues code takes the last block
		b.line("Continue this code:")
		b.code(language, p.PartialCode)
	}
	req, err := p.request(hub.ChatCompletion, b.body())
	if err != nil {
		return err
	}
	return a.stream(ctx, m, &p.ask, req, words{
		done: "generation_complete", failed: "generation_error",
		result: func(out map[string]any, s *hub.Stream, e *streamEnd) {
			answer := readAnswer(string(s.State().Text))
			out["code"], out["language"], out["explanation"] = answer.code, language, answer.explanation
			out["imports"], out["alternatives"] = []string{}, []string{} // the code has its own; nothing else was asked for
			out["finish_reason"] = e.FinishReason
		},
	})
}

// answer is a model's answer to a request for code.
type answer struct{ code, explanation string }

// readAnswer takes the first fenced block out of an answer, also where it was cut off inside; without one, all of it is code.
func readAnswer(text string) answer {
	var before, code, rest strings.Builder
	fence := ""
	in := &before
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case in == &before && strings.HasPrefix(trimmed, "```"):
			fence = trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "`"))]
			in = &code
		case in == &code && trimmed == fence:
			in = &rest
		default:
			in.WriteString(line)
		}
	}
	if fence == "" {
		return answer{code: text}
	}
	return answer{code: code.String(), explanation: strings.TrimSpace(before.String() + rest.String())}
}
