package coding

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// Refactoring is a request to rewrite code.
type Refactoring struct {
	Code             string            `json:"code"`
	Type             string            `json:"type"`
	Language         string            `json:"language"`
	Patterns         []json.RawMessage `json:"patterns"`
	PreserveBehavior *bool             `json:"preserve_behavior"` // nil means true
}

// Check validates the request.
func (r *Refactoring) Check() error {
	if r.Code == "" {
		return errs.Invalid("code", "is missing")
	}
	return nil
}

// Prompt returns the prompt for the model. wishes are further members of the client's request, by name.
func (r *Refactoring) Prompt(wishes map[string]json.RawMessage) string {
	var b prompt
	b.line("Refactor the code below. Answer with the whole new code in one fenced block, " +
		"then a short explanation of what has changed.")
	b.named("Kind of refactoring", r.Type)
	b.list("Patterns", r.Patterns)
	for _, name := range slices.Sorted(maps.Keys(wishes)) {
		if value := wishes[name]; !jsonw.IsNull(value) {
			b.named(name, string(value))
		}
	}
	if r.PreserveBehavior == nil || *r.PreserveBehavior {
		b.line("Its behaviour must stay the same.")
	}
	b.code(r.Language, r.Code)
	return b.text.String()
}

// Answer parses the model's answer.
func (r *Refactoring) Answer(text string) Answer {
	a := ReadAnswer(text)
	if !strings.HasSuffix(r.Code, "\n") { // the last newline belongs to the fence
		a.Code = strings.TrimSuffix(a.Code, "\n")
	}
	return a
}
