package openai

import (
	"maps"
	"slices"
	"strings"
)

// DialectName names the differences of a vendor's API from OpenAI's.
type DialectName string

// Auto is the default: the differences are learned from the upstream's refusals (see Learned).
const Auto DialectName = "auto"

// dialect is what is known of a vendor beforehand. The zero value is OpenAI's own API.
type dialect struct {
	omitStreamOptions bool   // it refuses stream_options
	textPath          string // of text completions: see Provider.url; "": completions
	fimPath           string // of those with a suffix; "": textPath
	fim               FIM    // how it gets the text after the cursor; "": Suffix
}

// Paths of the doors, relative to the base URL.
const (
	chatPath = "chat/completions"
	textPath = "completions"
	fimPath  = "fim/completions"
)

// dialects has the vendors' differences. Whatever is not listed here is learned, as with Auto.
var dialects = map[DialectName]dialect{
	Auto:         {},
	"openai":     {},
	"mistral":    {omitStreamOptions: true, textPath: fimPath},
	"deepseek":   {fimPath: "/beta/completions"},
	"gemini":     {},
	"together":   {},
	"openrouter": {},
	"ollama":     {},
	"vllm":       {fim: ByModel}, // refuses suffix
	"llamacpp":   {fim: ByModel}, // ignores suffix
}

// Dialects returns the names of all dialects, sorted.
func Dialects() []string {
	var names []string
	for name := range dialects {
		names = append(names, string(name))
	}
	return slices.Sorted(slices.Values(names))
}

// families maps a part of a model's name, in lower case, to the template that the family was trained with. The first
// match is used.
var families = []struct {
	part string
	fim  FIM
}{
	{"qwen", Qwen},
	{"codegemma", Qwen},
	{"granite", StarCoder},
	{"starcoder", StarCoder},
	{"stable-code", StarCoder},
	{"codellama", CodeLlama},
	{"code-llama", CodeLlama},
	{"codestral", Codestral},
	{"deepseek", DeepSeek},
}

// templateOf returns the fill-in-the-middle template of a model, or "" if its name tells none.
func templateOf(model string) FIM {
	model = strings.ToLower(model)
	for _, f := range families {
		if strings.Contains(model, f.part) {
			return f.fim
		}
	}
	return ""
}

// FIMs returns the names of all ways to fill in the middle, sorted.
func FIMs() []string {
	names := []string{string(AutoFIM), string(Suffix), string(ByModel)}
	for name := range maps.Keys(templates) {
		names = append(names, string(name))
	}
	return slices.Sorted(slices.Values(names))
}
