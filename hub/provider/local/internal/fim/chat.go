package fim

import "strings"

// edits are the marks of prompts that want a part of the file rewritten, not code to insert. Inserting the answer
// would break the file, so the answer is the form's "nothing".
var edits = []struct{ mark, nothing string }{
	{"<|editable_region_start|>", ""},                           // Zed, zeta.nvim, AmpTab
	{"<|code_to_edit|>", ""},                                    // Mercury
	{"<|start_of_file|>", ""},                                   //
	{`"start_row":`, "[]"},                                      // avante.nvim, whose answer is a list in JSON
	{"suggest code modifications at the cursor position", "[]"}, // likewise
}

// ParseChat parses a message to a chat model. ok is false if the message has none of the known forms. If the form is
// incomplete, so that no code can be found in it, the Prompt is empty.
func ParseChat(text string) (p Prompt, ok bool) {
	if nothing, ok := Edit(text); ok {
		return Prompt{Nothing: nothing}, true
	}
	for _, t := range templates {
		if parts, ok := t.split(text); ok && !strings.Contains(text, "</fim_") { // the latter are sections
			return parts.prompt(), true
		}
	}
	for _, f := range sectionForms {
		if p, ok := f.parse(text); ok {
			return p, true
		}
	}
	if p, ok := parseHole(text, anyHole); ok {
		return p, true
	}
	if p, ok := parseHeadings(text); ok {
		return p, true
	}
	// a mark in a question is a person's
	return Prompt{}, Mentions(text) && !strings.HasSuffix(strings.TrimSpace(text), "?")
}

// Edit reports whether a message wants a part of the file rewritten, and what answer then means "nothing".
func Edit(text string) (nothing string, ok bool) {
	for _, e := range edits {
		if strings.Contains(text, e.mark) {
			return e.nothing, true
		}
	}
	return "", false
}

// Mentions reports whether a text has a mark that only prompts for filling in the middle have.
func Mentions(text string) bool {
	for _, t := range templates {
		if strings.Contains(text, t.prefix) || strings.Contains(text, t.suffix) || strings.Contains(text, t.middle) {
			return true
		}
	}
	if _, _, ok := rareHole.next(text, 0); ok || strings.Contains(text, codyTag) {
		return true
	}
	for _, f := range sectionForms {
		if !f.common && f.mentioned(text) && f.tag.MatchString(text) {
			return true
		}
	}
	return false
}

// ChatMarks returns the tags and holes of all forms for chat models. No answer to such a prompt may contain one.
func ChatMarks() []string {
	list := holeMarks(false)
	list = append(list, codyTag, codyEnd, "<beginCode>", "<endCode>")
	tags := func(name string) {
		for _, n := range []string{name, strings.ToUpper(name)} {
			list = append(list, "<"+n+">", "</"+n+">", "<begin_"+n+">", "<end_"+n+">", "</begin_"+n+">", "</end_"+n+">")
		}
	}
	for _, n := range sectionTable {
		tags(n.prefix)
		tags(n.suffix)
	}
	for _, n := range answerTags {
		tags(n)
	}
	for _, e := range edits {
		if strings.HasPrefix(e.mark, "<|") {
			list = append(list, e.mark)
		}
	}
	return append(list, "<QUERY>", "</QUERY>")
}
