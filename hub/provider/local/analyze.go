package local

import (
	"context"
	"path"
	"strings"

	"github.com/duckwire/duckwire/hub"
)

var _ hub.Analyzer = (*Provider)(nil)

// maxFindings limits the issues of one rule in one file. One more issue then says how many were left out.
const maxFindings = 50

// check is one of the built-in checks. It checks one file, and calls found for each issue.
type check struct {
	kind string // kind of analysis that it belongs to
	run  func(f *hub.AnalysisFile, lang string, found func(hub.Issue))
}

var checks = []check{
	{"semantic", checkSyntax},
	{"semantic", checkConflicts},
	{"security", checkKeys},
	{"style", checkLines},
	{"style", checkGoFormat},
}

// Analyze runs the built-in checks, which do not replace a linter. They find syntax errors in Go and JSON, unbalanced
// brackets in C, C++, C# and Java, merge conflict markers, private keys, Go code that gofmt would change, TODO and
// FIXME, long lines, and untidy white space. An analysis of type semantic, security or style runs the checks of that
// kind, one of any other type runs all. The metadata say what was checked. Errors: ctx's, or the writer's.
func (p *Provider) Analyze(ctx context.Context, req *hub.AnalysisRequest, w hub.AnalysisWriter) error {
	w.Accepted()
	for i := range req.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.Progress(i); err != nil {
			return err
		}
		if err := w.Issues(checkFile(&req.Files[i], req.Type)...); err != nil {
			return err
		}
		if err := w.FileDone(i); err != nil {
			return err
		}
	}
	return w.Metadata([]byte(`{"analyzer":"duckwire-local",` +
		`"note":"built-in checks of syntax and layout only; no linter and no model"}`))
}

// checkFile runs the checks of a kind on one file.
func checkFile(f *hub.AnalysisFile, kind string) (issues []hub.Issue) {
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

// language returns the file's language as its usual extension: "go", "json", "py" …
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
