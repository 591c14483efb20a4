package openai

import (
	"slices"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// template is the fill-in-the-middle format of a family of models: the order of prefix and suffix, and the markers
// around them.
type template struct {
	before, between, after string
	suffixFirst            bool
	// the ends of text and of files, its markers, and the headers of the next file, as stop strings, the most important
	// first: after one of them the completion is over
	stop []string
}

var templates = map[FIM]template{
	Qwen: {
		before: "<|fim_prefix|>", between: "<|fim_suffix|>", after: "<|fim_middle|>",
		stop: []string{
			"<|endoftext|>", "<|fim_pad|>", "<|file_sep|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>",
			"<|file_separator|>", "<|repo_name|>", "<|im_start|>", "<|im_end|>",
		},
	},
	StarCoder: {
		before: "<fim_prefix>", between: "<fim_suffix>", after: "<fim_middle>",
		stop: []string{
			"<|endoftext|>", "<fim_pad>", "<file_sep>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<repo_name>",
			"<reponame>", "<filename>", "<gh_stars>",
		},
	},
	CodeLlama: {
		before: "<PRE> ", between: " <SUF>", after: " <MID>",
		stop: []string{"<EOT>", "<PRE>", "<SUF>", "<MID>", "</s>"},
	},
	Codestral: {
		before: "[SUFFIX]", between: "[PREFIX]", suffixFirst: true,
		stop: []string{"[SUFFIX]", "[PREFIX]", "[MIDDLE]", "</s>"},
	},
	DeepSeek: {
		before: "<｜fim▁begin｜>", between: "<｜fim▁hole｜>", after: "<｜fim▁end｜>",
		stop: []string{
			"<｜end▁of▁sentence｜>", "<|EOT|>", "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "<｜begin▁of▁sentence｜>",
		},
	},
}

// render returns the prompt that asks for the text between prefix and suffix.
func (t *template) render(prefix, suffix string) string {
	if t.suffixFirst {
		prefix, suffix = suffix, prefix
	}
	return t.before + prefix + t.between + suffix + t.after
}

// maxFewStops is how many stop sequences OpenAI allows.
const maxFewStops = 4

// renderFIM replaces the suffix by a rendered prompt. With few, the client's stop sequences are only filled up to
// maxFewStops.
func renderFIM(m members, req *hub.CompletionRequest, t template, few bool) {
	stop := slices.Clone(req.Stop)
	for _, s := range t.stop {
		if !slices.Contains(stop, s) && (!few || len(stop) < maxFewStops) {
			stop = append(stop, s)
		}
	}
	delete(m, "suffix")
	m["prompt"] = jsonw.AppendString(nil, t.render(req.Prompt, req.Suffix))
	list := []byte{'['}
	for i, s := range stop {
		if i > 0 {
			list = append(list, ',')
		}
		list = jsonw.AppendString(list, s)
	}
	m["stop"] = append(list, ']')
}
