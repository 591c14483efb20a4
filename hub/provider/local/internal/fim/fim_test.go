package fim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/provider/local/internal/fim"
	"github.com/duckwire/duckwire/hub/provider/local/internal/formtest"
)

const (
	prefix = "func add(a, b int) int {\n\treturn a"
	suffix = "\n}\n\nfunc main() {}\n"
)

// parse parses the last message of a form that has code.
func parse(f formtest.Form, prefix, suffix string) (fim.Prompt, bool) {
	if f.Prompt != "" {
		return fim.Parse(formtest.Render(f.Prompt, prefix, suffix))
	}
	for _, m := range slices.Backward(f.Messages) {
		if m.Role == "user" && strings.Contains(m.Content, "{P}") {
			return fim.ParseChat(formtest.Render(m.Content, prefix, suffix))
		}
	}
	return fim.Prompt{}, false
}

// TestForms takes the code out of every form exactly.
func TestForms(t *testing.T) {
	for _, f := range formtest.Read(t, "../..") {
		p, ok := parse(f, prefix, suffix)
		if !ok || p.Prefix != prefix || strings.TrimRight(p.Suffix, "\n")+"\n" != suffix {
			t.Errorf("%s: %t\nprefix %q\nsuffix %q", f.Name, ok, p.Prefix, p.Suffix)
		}
	}
}

func TestFiles(t *testing.T) {
	for name, want := range map[string][]string{
		"qwen-repo": {"package a\n"}, "starcoder-repo": {"package a\n"}, "codegemma-files": {"package a\n"},
		"starcoder2": {"package a\n"}, "starcoder-stars": nil, "qwen": nil,
	} {
		for _, f := range formtest.Read(t, "../..") {
			if p, _ := parse(f, prefix, suffix); f.Name == name && !slices.Equal(p.Files, want) {
				t.Errorf("%s: %q, want %q", name, p.Files, want)
			}
		}
	}
	p, ok := fim.Parse("<|repo_name|>shop\n<|file_sep|>a.go\npackage a\n<|file_sep|>b.go\npackage b\n\nfunc")
	if !ok || p.Prefix != "package b\n\nfunc" || !slices.Equal(p.Files, []string{"package a\n"}) {
		t.Errorf("without a suffix: %t, %+v", ok, p)
	}
}

// TestPlainCode: code that has markers, such as that of this package, is not a rendered prompt.
func TestPlainCode(t *testing.T) {
	for _, code := range []string{
		"", "x := 1\n", "<Cursor>", "for i := 0; i < cursor; i++ {\n",
		`stop := []string{"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", `,
		`sep := "<|file_sep|>"` + "\nx := ", "/* cursor */\n.cursor {", "<prefix>a</prefix><suffix>b</suffix>", "█",
	} {
		if p, ok := fim.Parse(code); ok {
			t.Errorf("%q: %+v", code, p)
		}
	}
}

// TestQuestions: a person may mention the marks.
func TestQuestions(t *testing.T) {
	for _, text := range []string{
		"", "What is the meaning of life?", "Why is <Prefix>x</Prefix> empty in this answer?", "What is <|fim_prefix|>?",
		"What does LoaderCallbacks<Cursor> return?", "Loading: ████████ 80 %", "Explain argv[cursor].",
		"What does the tag <prefix> mean?", "Before:\n```\na\n```\nAfter:\n```\nb\n```\nWhy?",
	} {
		if p, ok := fim.ParseChat(text); ok {
			t.Errorf("%q: %+v", text, p)
		}
	}
}

// TestBrokenForms: what only has a part of a form has no code, but is not a person's message either.
func TestBrokenForms(t *testing.T) {
	for _, text := range []string{
		"<|fim_prefix|>x", "<code_prefix>", "<begin_code_middle>", "</code_suffix>", "a{{FILL_HERE}}", "<CODE5711>x",
		"<prefix></prefix><suffix></suffix>",
	} {
		if _, ok := fim.ParseChat(text); !ok && text != "<begin_code_middle>" {
			t.Errorf("%q is not seen as a prompt", text)
		}
	}
	for text, want := range map[string]string{"<|editable_region_start|>\nx": "", `[{"start_row": 1}]`: "[]"} {
		if p, ok := fim.ParseChat(text); !ok || p.Prefix != "" || p.Nothing != want {
			t.Errorf("%q: %t, %+v", text, ok, p)
		}
	}
}

// TestLongPrompts: the cost does not grow with the square of the length.
func TestLongPrompts(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{
		"█ ", "<cursor>", "<code>█</code>", "<QUERY>", "</QUERY>", "```\n", "<prefix>", "<code_prefix></code_prefix>",
		"<|fim_prefix|>",
		"<|file_sep|>", "[SUFFIX]", "<|im_end|>", "The cursor is <cursor>\n", "<code_prefix ",
	} {
		text := strings.Repeat(piece, 1<<17/len(piece))
		done := make(chan struct{})
		go func() {
			defer close(done)
			fim.Parse(text)
			fim.ParseChat(text)
		}()
		select {
		case <-done:
		case <-time.After(hubtest.Hung):
			t.Fatalf("%q does not end", piece)
		}
	}
}

// FuzzParse: no prompt causes a panic, and what is found is part of the prompt, without markers.
func FuzzParse(f *testing.F) {
	for _, form := range formtest.Read(f, "../..") {
		f.Add(formtest.Render(form.Prompt, prefix, suffix))
		for _, m := range form.Messages {
			f.Add(formtest.Render(m.Content, prefix, suffix))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) (fim.Prompt, bool){fim.Parse, fim.ParseChat} {
			p, ok := parse(text)
			if size := len(p.Prefix) + len(p.Suffix) + len(p.Before); size > 2*len(text) || !ok && size > 0 {
				t.Errorf("%t, %d bytes of %d", ok, size, len(text))
			}
		}
	})
}
