package fim

import (
	"slices"
	"strings"
)

// template is how a family of models marks prefix, suffix and the place where its answer begins. Plugins render them
// in either order, prefix first or suffix first.
type template struct {
	prefix, suffix, middle string
	padded                 bool // a space follows each marker
}

var templates = []template{
	{prefix: "<|fim_prefix|>", suffix: "<|fim_suffix|>", middle: "<|fim_middle|>"},    // Qwen, CodeGemma, Granite
	{prefix: "<fim_prefix>", suffix: "<fim_suffix>", middle: "<fim_middle>"},          // StarCoder, StableCode, Mellum
	{prefix: "<fim-prefix>", suffix: "<fim-suffix>", middle: "<fim-middle>"},          // SantaCoder
	{prefix: "<PRE>", suffix: "<SUF>", middle: "<MID>", padded: true},                 // CodeLlama
	{prefix: "<｜fim▁begin｜>", suffix: "<｜fim▁hole｜>", middle: "<｜fim▁end｜>"},          // DeepSeek
	{prefix: "<|fim_begin|>", suffix: "<|fim_hole|>", middle: "<|fim_end|>"},          // DeepSeek, as its papers print it
	{prefix: "[PREFIX]", suffix: "[SUFFIX]", middle: "[MIDDLE]"},                      // Codestral
	{prefix: "<[fim-prefix]>", suffix: "<[fim-suffix]>", middle: "<[fim-middle]>"},    // Seed-Coder
	{prefix: "<|code_prefix|>", suffix: "<|code_suffix|>", middle: "<|code_middle|>"}, // CodeGeeX, GLM
	{prefix: "<|prefix|>", suffix: "<|suffix|>", middle: "<|middle|>"},
}

// fileMarkers begin a header: the rest of their line names a repository or a file.
var fileMarkers = []string{
	"<|repo_name|>", "<|file_sep|>", "<|file_separator|>", // Qwen, CodeGemma
	"<repo_name>", "<reponame>", "<file_sep>", "<filename>", "<gh_stars>", // StarCoder, CodeQwen
}

// otherMarkers pad, begin or end a text or a turn.
var otherMarkers = []string{
	"[/PREFIX]", "[/SUFFIX]", "[/MIDDLE]",
	"<|fim_pad|>", "<fim_pad>", "<fim-pad>", "<PAD>", "<EOT>", "<|EOT|>", "<|endoftext|>", "<|end_of_text|>",
	"<|begin_of_text|>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<[begin▁of▁sentence]>",
	"<[end▁of▁sentence]>", "<bos>", "<eos>", "<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>",
	"<|eot_id|>", "<|eom_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|system|>", "<|user|>", "<|assistant|>",
	"<|end|>", "<|eos|>", "<|pad|>",
}

var (
	markers    = allMarkers()
	anyMarker  = newMarks(markers)
	fileMarker = newMarks(fileMarkers)
)

// Markers returns the markers of all templates. No answer may contain one.
func Markers() []string { return slices.Clone(markers) }

func allMarkers() []string {
	list := slices.Concat(fileMarkers, otherMarkers)
	for _, t := range templates {
		list = append(list, t.prefix, t.suffix, t.middle)
	}
	return list
}

// Parse parses the prompt of a text completion. ok is false if it is plain text to continue. Code may contain markers
// as well, for example in a table like those above; so a prompt counts as rendered only if it begins with a marker, or
// if its template is complete up to the end.
func Parse(text string) (p Prompt, ok bool) {
	begins := beginsWithMarker(text)
	for _, t := range templates {
		if parts, ok := t.split(text); ok && (begins || parts.complete) {
			return parts.prompt(), true
		}
	}
	if begins {
		files, own := splitFiles(text)
		return Prompt{Prefix: clean(own), Files: files}, true
	}
	return parseHole(text, rareHole)
}

// parts is a text that was split at the markers of a template.
type parts struct {
	before, prefix, suffix string
	complete               bool // the text ends where the answer begins
}

// split searches for the markers from the end, because the text in front of the template may mention them, too. Of
// prefix and suffix one may be missing if the middle's marker is there.
func (t template) split(text string) (parts, bool) {
	p, s := strings.LastIndex(text, t.prefix), strings.LastIndex(text, t.suffix)
	last := max(p, s)
	if last < 0 {
		return parts{}, false
	}
	body, answer, hasMiddle := strings.Cut(text[last:], t.middle)
	if !hasMiddle && (p < 0 || s < 0) {
		return parts{}, false
	}
	answer = lastTurn(answer)
	var a parts
	switch {
	case s < 0:
		a.before, a.prefix = text[:p], body[len(t.prefix):]
	case p < 0:
		a.before, a.suffix = text[:s], body[len(t.suffix):]
	case p < s:
		a.before, a.prefix, a.suffix = text[:p], text[p+len(t.prefix):s], body[len(t.suffix):]
	default:
		a.before, a.suffix, a.prefix = text[:s], text[s+len(t.suffix):p], body[len(t.prefix):]
	}
	t.unpad(&a)
	a.prefix += answer
	a.complete = hasMiddle && answer == "" || !hasMiddle && s < p
	return a, true
}

// unpad removes the spaces around markers. Some plugins pad every family's template: if all three places have a space,
// it is not the code's.
func (t template) unpad(a *parts) {
	all := strings.HasPrefix(a.prefix, " ") && strings.HasSuffix(a.prefix, " ") && strings.HasSuffix(a.suffix, " ")
	if len(a.prefix) > 1 && all || t.padded {
		a.prefix = strings.TrimSuffix(strings.TrimPrefix(a.prefix, " "), " ")
		a.suffix = strings.TrimSuffix(a.suffix, " ")
	}
}

// lastTurn returns the beginning of the answer that a prompt gives after the middle's marker, or "". Markers of turns
// and the role's name are no part of it.
func lastTurn(text string) string {
	if all := anyMarker.all(text); len(all) > 0 {
		last := all[len(all)-1]
		role := strings.HasSuffix(text[:last[1]], "<|im_start|>") || strings.HasSuffix(text[:last[1]], "<start_of_turn>")
		text = text[last[1]:]
		if role {
			_, text, _ = strings.Cut(text, "\n")
		}
	}
	if strings.TrimSpace(text) == "" {
		return ""
	}
	return text
}

func (a parts) prompt() Prompt {
	files, own := splitFiles(a.before)
	if own == "" && endsWithFileMarker(a.before) {
		a.prefix = withoutPath(a.prefix)
	}
	return Prompt{Prefix: clean(a.prefix), Suffix: clean(a.suffix), Before: clean(own), Files: files}
}

func clean(text string) string { return anyMarker.remove(text) }

func beginsWithMarker(text string) bool {
	return anyMarker.at(strings.TrimLeft(text, " \t\r\n")) != ""
}
