package coding

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// Refactoring is code that a model is to rewrite.
type Refactoring struct {
	Code             string            `json:"code"`
	Type             string            `json:"type"`
	Language         string            `json:"language"`
	Patterns         []json.RawMessage `json:"patterns"`
	PreserveBehavior *bool             `json:"preserve_behavior"` // nil: it is to be preserved
}

// Check checks that there is something to rewrite.
func (r *Refactoring) Check() error {
	if r.Code == "" {
		return errs.Invalid("code", "is missing")
	}
	return nil
}

// Prompt is what the model is asked. wishes are the client's own words for how the code should be.
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

// Answer reads the model's answer.
func (r *Refactoring) Answer(text string) Answer {
	a := ReadAnswer(text)
	if !strings.HasSuffix(r.Code, "\n") { // a fenced block ends with one, whatever is in it
		a.Code = strings.TrimSuffix(a.Code, "\n")
	}
	return a
}
