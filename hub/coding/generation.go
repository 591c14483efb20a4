package coding

import (
	"encoding/json"

	"github.com/duckwire/duckwire/hub/errs"
)

// Generation is code that a model is to write from a description.
type Generation struct {
	Description  string            `json:"prompt"`
	Language     string            `json:"language"`
	Style        string            `json:"style"`
	PartialCode  string            `json:"partial_code"` // to be continued
	ProjectFiles []json.RawMessage `json:"project_files"`
	CurrentFile  string            `json:"current_file"`
	Imports      []json.RawMessage `json:"imports"`
	Dependencies []json.RawMessage `json:"dependencies"`
	Examples     []json.RawMessage `json:"examples"`
}

// Check checks that there is something to write, and finds the language.
func (g *Generation) Check() error {
	if g.Description == "" && g.PartialCode == "" {
		return errs.Invalid("prompt", "is missing; partial_code will do as well")
	}
	if g.Language = LanguageOf(g.Language, g.CurrentFile); g.Language == "" {
		g.Language = "elixir" // as it is documented
	}
	return nil
}

// Prompt is what the model is asked.
func (g *Generation) Prompt() string {
	var b prompt
	b.line("Write %s code. Answer with the code in one fenced block, then a short explanation.", g.Language)
	b.named("Style", g.Style)
	b.named("File", g.CurrentFile)
	b.list("Imports", g.Imports)
	b.list("Dependencies", g.Dependencies)
	b.list("Files of the project", g.ProjectFiles)
	b.list("Examples", g.Examples)
	b.line("%s", g.Description)
	if g.PartialCode != "" { // last: a completer that only continues code takes the last block
		b.line("Continue this code:")
		b.code(g.Language, g.PartialCode)
	}
	return b.text.String()
}
