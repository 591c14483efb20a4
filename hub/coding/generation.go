package coding

import (
	"encoding/json"

	"github.com/duckwire/duckwire/hub/errs"
)

// Generation is a request for new code.
type Generation struct {
	Description  string            `json:"prompt"`
	Language     string            `json:"language"`
	Style        string            `json:"style"`
	PartialCode  string            `json:"partial_code"` // code to continue
	ProjectFiles []json.RawMessage `json:"project_files"`
	CurrentFile  string            `json:"current_file"`
	Imports      []json.RawMessage `json:"imports"`
	Dependencies []json.RawMessage `json:"dependencies"`
	Examples     []json.RawMessage `json:"examples"`
}

// Check validates the request, and sets the language if it is missing.
func (g *Generation) Check() error {
	if g.Description == "" && g.PartialCode == "" {
		return errs.Invalid("prompt", "is missing; partial_code will do as well")
	}
	if g.Language = LanguageOf(g.Language, g.CurrentFile); g.Language == "" {
		g.Language = "elixir" // documented default
	}
	return nil
}

// Prompt returns the prompt for the model.
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
	if g.PartialCode != "" { // last, because a completer that only continues code uses the last block
		b.line("Continue this code:")
		b.code(g.Language, g.PartialCode)
	}
	return b.text.String()
}
