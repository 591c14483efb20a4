package local

import "strings"

// fimTemplate is a form in which plugins render prefix and suffix into one prompt. prefix, suffix and middle are its markers.
type fimTemplate struct {
	prefix, suffix, middle string
	suffixFirst            bool // the suffix stands before the prefix
	padded                 bool // a space after each marker belongs to the form
}

// fimTemplates are those of protocol/openai.md 3.5.
var fimTemplates = []fimTemplate{
	{prefix: "<|fim_prefix|>", suffix: "<|fim_suffix|>", middle: "<|fim_middle|>"},      // Qwen, CodeGemma
	{prefix: "<fim_prefix>", suffix: "<fim_suffix>", middle: "<fim_middle>"},            // StarCoder, StableCode
	{prefix: "<PRE>", suffix: "<SUF>", middle: "<MID>", padded: true},                   // CodeLlama
	{prefix: "<｜fim▁begin｜>", suffix: "<｜fim▁hole｜>", middle: "<｜fim▁end｜>"},            // DeepSeek
	{prefix: "[PREFIX]", suffix: "[SUFFIX]", suffixFirst: true},                         // Codestral
	{prefix: "<|fim_prefix|>", suffix: "<|fim_suffix|>", middle: "", suffixFirst: true}, // "SPM" order, as some render it
}

// splitFIM takes a rendered template apart. ok is false where prompt is plain text. What stands before the template (a file's name, other
// files) stays before the prefix.
func splitFIM(prompt string) (prefix, suffix string, ok bool) {
	for _, t := range fimTemplates {
		if prefix, suffix, ok = t.split(prompt); ok {
			return prefix, suffix, true
		}
	}
	return "", "", false
}

func (t fimTemplate) split(prompt string) (prefix, suffix string, ok bool) {
	first, second := t.prefix, t.suffix
	if t.suffixFirst {
		first, second = second, first
	}
	// The last markers count: the text before may speak of markers too.
	body := prompt
	if t.middle != "" {
		trimmed := strings.TrimRight(prompt, " \n")
		if !strings.HasSuffix(trimmed, t.middle) {
			return "", "", false
		}
		body = strings.TrimSuffix(trimmed, t.middle)
	}
	j := strings.LastIndex(body, second)
	if j < 0 {
		return "", "", false
	}
	i := strings.LastIndex(body[:j], first)
	if i < 0 {
		return "", "", false
	}
	before, a, b := body[:i], body[i+len(first):j], body[j+len(second):]
	if t.padded {
		a, b = strings.TrimSuffix(strings.TrimPrefix(a, " "), " "), strings.TrimSuffix(b, " ")
	}
	if t.suffixFirst {
		a, b = b, a
	}
	return join(before, a), b, true
}

func join(before, prefix string) string {
	if strings.TrimSpace(before) == "" {
		return prefix
	}
	return before + "\n" + prefix
}
