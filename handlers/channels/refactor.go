package channels

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// refactor has the model rewrite code. The answer's text comes as chunks; the last event has the new code, and where it differs.
func (a *asks) refactor(ctx context.Context, m *socket.Message) error {
	var p struct {
		ask
		Code             string            `json:"code"`
		Type             string            `json:"type"`
		Language         string            `json:"language"`
		Patterns         []json.RawMessage `json:"patterns"`
		PreserveBehavior *bool             `json:"preserve_behavior"`
	}
	if err := m.Decode(&p); err != nil {
		return err
	}
	if p.Code == "" {
		return errs.Invalid("code", "is missing")
	}
	wishes, err := p.options()
	if err != nil {
		return err
	}
	var b prompt
	b.line("Refactor the code below. Answer with the whole new code in one fenced block, then a short explanation of what has changed.")
	b.named("Kind of refactoring", p.Type)
	b.list("Patterns", p.Patterns)
	for _, name := range slices.Sorted(maps.Keys(wishes)) { // the client's wishes; those for the model go to it besides
		if value := wishes[name]; modelOptions[name] == "" && !jsonw.IsNull(value) {
			b.named(name, string(value))
		}
	}
	if p.PreserveBehavior == nil || *p.PreserveBehavior {
		b.line("Its behaviour must stay the same.")
	}
	b.code(p.Language, p.Code)
	req, err := p.request(hub.ChatCompletion, b.body())
	if err != nil {
		return err
	}
	return a.stream(ctx, m, &p.ask, req, words{
		done: "refactor_complete", failed: "refactor_error",
		result: func(out map[string]any, s *hub.Stream, e *streamEnd) {
			answer := readAnswer(string(s.State().Text))
			if !strings.HasSuffix(p.Code, "\n") { // a fenced block ends with one, whatever is in it
				answer.code = strings.TrimSuffix(answer.code, "\n")
			}
			out["refactored_code"], out["explanation"], out["changes"] = answer.code, answer.explanation, changesOf(p.Code, answer.code)
			out["finish_reason"] = e.FinishReason
		},
	})
}

// change is a change as code_change has it.
type change struct {
	From cursor `json:"from"`
	To   cursor `json:"to"`
	Text string `json:"text"`
}

// changesOf returns the one run of lines in which two texts differ, or none.
func changesOf(before, after string) []change {
	a, b := slices.Collect(strings.Lines(before)), slices.Collect(strings.Lines(after))
	head, tail := 0, 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	if head+tail == len(a) && head+tail == len(b) {
		return []change{}
	}
	return []change{{From: cursor{head + 1, 0}, To: cursor{len(a) - tail + 1, 0}, Text: strings.Join(b[head:len(b)-tail], "")}}
}
