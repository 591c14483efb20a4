package local

import (
	"context"
	"path"
	"strings"

	"github.com/duckwire/duckwire/hub"
)

var _ hub.Analyzer = (*Provider)(nil)

// maxFindings bounds what one rule reports in one file; one more issue then tells how many there are.
const maxFindings = 50

// check is one of the built-in checks: it looks at one file and reports through found.
type check struct {
	kind string // of the analyses that it belongs to
	run  func(f *hub.AnalysisFile, lang string, found func(hub.Issue))
}

var checks = []check{
	{"semantic", checkSyntax},
	{"semantic", checkConflicts},
	{"security", checkKeys},
	{"style", checkLines},
	{"style", checkGoFormat},
}

// Analyze runs the built-in checks: no linter, and no substitute for one. They find what needs no understanding: syntax errors in Go and JSON,
// brackets that do not match in C, C++, C# and Java, merge conflicts left in, private keys, Go that gofmt would change, TODO and FIXME, long
// lines, and untidy white space. A type of semantic, security or style runs those of that kind, any other type all. The metadata say
// so. Errors: ctx's, or the writer's.
func (p *Provider) Analyze(ctx context.Context, req *hub.AnalysisRequest, w hub.AnalysisWriter) error {
	w.Accepted()
	for i := range req.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.Progress(i); err != nil {
			return err
		}
		if err := w.Issues(look(&req.Files[i], req.Type)...); err != nil {
			return err
		}
		if err := w.FileDone(i); err != nil {
			return err
		}
	}
	return w.Metadata([]byte(`{"analyzer":"duckwire-local","note":"built-in checks of syntax and layout only; no linter and no model"}`))
}

// look runs the checks of a kind over one file.
func look(f *hub.AnalysisFile, kind string) (issues []hub.Issue) {
	lang, counts := language(f), map[string]int{}
	for _, c := range checks {
		if kind != c.kind && (kind == "semantic" || kind == "security" || kind == "style") {
			continue
		}
		c.run(f, lang, func(i hub.Issue) {
			if counts[i.Rule]++; counts[i.Rule] <= maxFindings {
				i.Type, i.File = c.kind, f.Path
				issues = append(issues, i)
			}
		})
	}
	for i := range issues {
		if n := counts[issues[i].Rule]; n > maxFindings {
			issues = append(issues, more(issues[i], n-maxFindings))
			counts[issues[i].Rule] = 0
		}
	}
	return issues
}

// language returns the file's language as its extension has it: "go", "json", "py" …
func language(f *hub.AnalysisFile) string {
	lang := strings.ToLower(f.Language)
	if lang == "" {
		lang = strings.ToLower(strings.TrimPrefix(path.Ext(f.Path), "."))
	}
	switch lang {
	case "golang":
		return "go"
	case "c++", "cc", "cxx", "hpp", "h":
		return "cpp"
	case "csharp", "c#":
		return "cs"
	}
	return lang
}
