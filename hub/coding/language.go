package coding

import (
	"path"
	"strings"
)

// LanguageOf returns the language that the client names, or else that of the file's extension, or "".
func LanguageOf(said, file string) string {
	if said != "" {
		return said
	}
	ext := strings.ToLower(strings.TrimPrefix(path.Ext(file), "."))
	if name, ok := languages[ext]; ok {
		return name
	}
	return ext
}

// languages maps extensions that differ from the language's name.
var languages = map[string]string{
	"ex": "elixir", "exs": "elixir", "heex": "elixir", "erl": "erlang",
	"js": "javascript", "jsx": "javascript", "mjs": "javascript", "ts": "typescript", "tsx": "typescript",
	"py": "python", "rb": "ruby", "rs": "rust", "kt": "kotlin", "cs": "csharp",
	"cc": "cpp", "cxx": "cpp", "hpp": "cpp", "h": "c",
	"hs": "haskell", "md": "markdown", "yml": "yaml", "sh": "bash",
}
