package local

import "strings"

// fimTemplate is a format in which plugins render prefix and suffix into one prompt. prefix, suffix and middle are its
// markers.
type fimTemplate struct {
	prefix, suffix, middle string
	suffixFirst            bool // the suffix comes before the prefix
	padded                 bool // each marker is followed by a space
}

// fimTemplates are the formats that plugins render for families of models.
var fimTemplates = []fimTemplate{
	{prefix: "<|fim_prefix|>", suffix: "<|fim_suffix|>", middle: "<|fim_middle|>"}, // Qwen, CodeGemma
	{prefix: "<fim_prefix>", suffix: "<fim_suffix>", middle: "<fim_middle>"},       // StarCoder, StableCode
	{prefix: "<PRE>", suffix: "<SUF>", middle: "<MID>", padded: true},              // CodeLlama
	{prefix: "<｜fim▁begin｜>", suffix: "<｜fim▁hole｜>", middle: "<｜fim▁end｜>"},       // DeepSeek
	{prefix: "[PREFIX]", suffix: "[SUFFIX]", suffixFirst: true},                    // Codestral
	// suffix-prefix-middle order, as some plugins render it
	{prefix: "<|fim_prefix|>", suffix: "<|fim_suffix|>", middle: "", suffixFirst: true},
}

// splitFIM parses a rendered template. ok is false if prompt is plain text. Text before the template, such as a file's
// name or other files, stays in front of the prefix.
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
	// Search from the end: the text before may contain markers, too.
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
