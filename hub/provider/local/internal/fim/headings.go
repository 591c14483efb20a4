package fim

import (
	"regexp"
	"strings"
)

// heading is a line such as "Code before the cursor:" or "##Prefix Code##:", which some prompts have instead of tags.
// It begins with a capital letter or marks of Markdown, as code that ends in a colon hardly does.
var heading = regexp.MustCompile(`(?m)^[#*]*[ \t]*[A-Z][A-Za-z ]{0,40}[#*]*:?[#*]*[ \t]*$`)

// headingWords tell the headings of prefix, suffix and answer apart. with is a further word that the heading needs: a
// person, too, may compare what was before with what is after.
var headingWords = []struct{ word, with, part string }{
	{"prefix", "", "prefix"},
	{"before", "cursor", "prefix"},
	{"before", "code", "prefix"},
	{"preceding", "code", "prefix"},
	{"above", "cursor", "prefix"},
	{"suffix", "", "suffix"},
	{"after", "cursor", "suffix"},
	{"after", "code", "suffix"},
	{"following", "code", "suffix"},
	{"below", "cursor", "suffix"},
	{"middle", "", "answer"},
	{"completion", "", "answer"},
	{"insert", "", "answer"},
	{"answer", "", "answer"},
}

// parseHeadings parses a prompt that has both a heading of the prefix and one of the suffix. The last of each counts.
func parseHeadings(text string) (Prompt, bool) {
	content := map[string]string{}
	part, from := "", 0
	for _, at := range heading.FindAllStringIndex(text, -1) {
		next := headingPart(text[at[0]:at[1]])
		if next == "" {
			continue
		}
		content[part] = text[from:at[0]]
		part, from = next, at[1]
	}
	content[part] = text[from:]
	prefix, hasPrefix := content["prefix"]
	suffix, hasSuffix := content["suffix"]
	if !hasPrefix || !hasSuffix {
		return Prompt{}, false
	}
	return Prompt{Prefix: clean(unfence(prefix)), Suffix: clean(unfence(suffix))}, true
}

func headingPart(line string) string {
	if !strings.Contains(line, ":") && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "*") {
		return ""
	}
	line = strings.ToLower(line)
	for _, h := range headingWords {
		if strings.Contains(line, h.word) && strings.Contains(line, h.with) {
			return h.part
		}
	}
	return ""
}

// unfence returns the content of the fenced block that a text begins with, or else the text without its first and last
// line break.
func unfence(text string) string {
	fenced := strings.TrimLeft(text, " \t\r\n")
	if !strings.HasPrefix(fenced, "```") {
		return strings.TrimSuffix(strings.TrimPrefix(text, "\n"), "\n")
	}
	_, code, _ := strings.Cut(fenced, "\n")
	if i := strings.LastIndex(code, "```"); i >= 0 {
		code = strings.TrimSuffix(code[:i], "\n")
	}
	return code
}
