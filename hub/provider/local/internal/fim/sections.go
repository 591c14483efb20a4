package fim

import (
	"regexp"
	"slices"
	"strings"
)

// sectionNames are the tags in which prompts for chat models put prefix and suffix. Tags are written <NAME> or
// <begin_NAME>, and </NAME>, <end_NAME>, or not closed at all; NAME is as here or in upper case.
//
// common says that the names are those of ordinary XML as well: a single tag that is not closed does not count.
type sectionNames struct {
	prefix, suffix string
	common         bool
}

var sectionTable = []sectionNames{
	{prefix: "code_prefix", suffix: "code_suffix"},                // cmp-ai, cassandra-ai
	{prefix: "prefix", suffix: "suffix", common: true},            // many
	{prefix: "contextBeforeCursor", suffix: "contextAfterCursor"}, // minuet-ai, suffix first or prefix first
	{prefix: "code_before_cursor", suffix: "code_after_cursor"},   // several inline completions for VS Code, JetBrains
	{prefix: "text_before_cursor", suffix: "text_after_cursor"},   //
	{prefix: "before_cursor", suffix: "after_cursor"},             //
	{prefix: "code_before", suffix: "code_after"},                 //
	{prefix: "before", suffix: "after", common: true},             //
	{prefix: "fim_prefix", suffix: "fim_suffix"},
	{prefix: "prefix_code", suffix: "suffix_code"},                    //
	{prefix: "code-prefix", suffix: "code-suffix"},                    //
	{prefix: "file_prefix", suffix: "file_suffix"},                    //
	{prefix: "preceding_code", suffix: "following_code"},              //
	{prefix: "context_before_cursor", suffix: "context_after_cursor"}, //
	{prefix: "beforeCursor", suffix: "afterCursor"},                   //
	{prefix: "codeBeforeCursor", suffix: "codeAfterCursor"},           //
	{prefix: "textBeforeCursor", suffix: "textAfterCursor"},           //
}

// answerTags are the tags in which such prompts want the answer, or that end it. Plugins that ask for them also take
// the bare code, which is what the completer answers.
var answerTags = []string{
	"code_middle", "middle", "fim_middle", "COMPLETION", "completion", "endCompletion", "answer", "output", "insert",
}

// sections is a row of the table with its parsed form.
type sections struct {
	sectionNames
	tag   *regexp.Regexp
	words []string // a text without any of them has no tag; this is fast to see
}

var sectionForms = compileSections()

func compileSections() (list []sections) {
	for _, n := range sectionTable {
		group := func(name string) string {
			return "(" + regexp.QuoteMeta(name) + "|" + regexp.QuoteMeta(strings.ToUpper(name)) + ")"
		}
		tag := `<(/?)(begin_|end_)?(?:` + group(n.prefix) + "|" + group(n.suffix) + `)(?:\s[^<>\n]{0,100})?>`
		words := []string{n.prefix, n.suffix, strings.ToUpper(n.prefix), strings.ToUpper(n.suffix)}
		list = append(list, sections{n, regexp.MustCompile(tag), words})
	}
	return list
}

// tag is the place of one tag in a text.
type tag struct {
	start, end     int
	suffix, closed bool // it belongs to the suffix's section; it is a closing tag
}

// section is the content between tags.
type section struct {
	text   string
	closed bool // by its own tag
	last   bool // nothing follows
	cursor bool // the mark of the cursor follows at once, so the code ends exactly there
}

// parse finds the last sections that are not blank: examples come before the code, and instructions that only mention
// the tags have nothing between them.
func (f sections) parse(text string) (Prompt, bool) {
	if !f.mentioned(text) {
		return Prompt{}, false
	}
	var tags []tag
	for _, m := range f.tag.FindAllStringSubmatchIndex(text, -1) {
		end := m[4] >= 0 && text[m[4]:m[5]] == "end_"
		tags = append(tags, tag{start: m[0], end: m[1], suffix: m[8] >= 0, closed: m[2] < m[3] || end})
	}
	before, after := collect(text, tags, false), collect(text, tags, true)
	if !f.found(tags, before, after) {
		return Prompt{}, false
	}
	for i := range max(len(before), len(after)) {
		p, s := fromEnd(before, i), fromEnd(after, i)
		if strings.TrimSpace(p.text+s.text) != "" {
			return promptOf(p, s), true
		}
	}
	return Prompt{}, true
}

func (f sections) mentioned(text string) bool {
	return slices.ContainsFunc(f.words, func(w string) bool { return strings.Contains(text, w) })
}

// found reports whether the tags are those of a prompt, and not a mention in a question.
func (f sections) found(tags []tag, before, after []section) bool {
	closed := func(s section) bool { return s.closed }
	both := len(before) > 0 && len(after) > 0
	return both || !f.common && len(tags) > 0 || slices.ContainsFunc(before, closed)
}

func fromEnd(list []section, i int) section {
	if i >= len(list) {
		return section{}
	}
	return list[len(list)-1-i]
}

// collect returns the sections of one kind: the closed ones, or if there are none, the others, which end at the next
// tag.
func collect(text string, tags []tag, suffix bool) []section {
	var closed, open []section
	for i, t := range tags {
		if t.suffix != suffix || t.closed {
			continue
		}
		end := len(text)
		if i+1 < len(tags) {
			end = tags[i+1].start
		}
		open = append(open, section{text: text[t.end:end], last: end == len(text)})
		// a tag of the other kind inside is the code's
		for _, u := range tags[i+1 : min(len(tags), i+8)] {
			if u.suffix == suffix {
				if u.closed {
					closed = append(closed, section{text: text[t.end:u.start], closed: true, cursor: anyHole.at(text[u.end:]) != ""})
				}
				break
			}
		}
	}
	if len(closed) > 0 {
		return closed
	}
	return open
}

// promptOf removes the line breaks between tags and code. A template has them in both sections or in none.
func promptOf(p, s section) Prompt {
	prefix, rest, _ := cutHole(p.text)
	lined := strings.HasPrefix(prefix, "\n")
	if lined && p.closed && !p.cursor && prefix == p.text {
		prefix = strings.TrimSuffix(prefix, "\n")
	}
	if strings.TrimSpace(rest) == "" {
		rest = ""
	}
	if strings.HasPrefix(strings.TrimLeft(prefix, " \t\r\n"), "```") {
		return Prompt{Prefix: clean(unfence(prefix)), Suffix: clean(unfence(s.text))}
	}
	suffix := s.text
	if before, after, ok := cutHole(suffix); ok && strings.TrimSpace(before) == "" {
		suffix = after
	}
	if (lined || prefix == "") && strings.HasPrefix(suffix, "\n") {
		suffix = suffix[1:]
		if !s.last {
			suffix = strings.TrimSuffix(suffix, "\n")
		}
	}
	return Prompt{Prefix: clean(strings.TrimPrefix(prefix, "\n")), Suffix: clean(rest + suffix)}
}
