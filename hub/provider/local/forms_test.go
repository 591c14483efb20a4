package local_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/local"
	"github.com/duckwire/duckwire/hub/provider/local/internal/fim"
	"github.com/duckwire/duckwire/hub/provider/local/internal/formtest"
)

// request renders a plugin's prompt.
func request(f formtest.Form, prefix, suffix string) hub.CompletionRequest {
	if f.Prompt != "" {
		return hub.CompletionRequest{Kind: hub.TextCompletion, Prompt: formtest.Render(f.Prompt, prefix, suffix)}
	}
	req := hub.CompletionRequest{Kind: hub.ChatCompletion}
	for _, m := range f.Messages {
		content := formtest.Render(m.Content, prefix, suffix)
		req.Messages = append(req.Messages, hub.Message{Role: m.Role, Content: content})
	}
	return req
}

// TestForms: to every plugin's prompt the answer is exactly the code to insert, as for a plain request with prefix and
// suffix.
func TestForms(t *testing.T) {
	p := open(t, local.Options{})
	for _, f := range formtest.Read(t, ".") {
		for _, code := range []string{enum, enum + "case", routes, "a.x = b.x\na.y = b.y\na.z ="} {
			suffix := "\n}\n\nfunc last() {}\n"
			want := complete(t, p, hub.CompletionRequest{
				Kind: hub.TextCompletion, Prompt: code, Suffix: suffix, HasSuffix: true,
			})
			r := complete(t, p, request(f, code, suffix))
			if r.text() != want.text() || want.text() == "" || r.reason != "stop" {
				t.Errorf("%s: %q, %q; want %q", f.Name, r.text(), r.reason, want.text())
			}
		}
	}
}

// TestFormsWithoutProposal: a plugin inserts whatever is answered, so if nothing can be predicted the answer is empty.
func TestFormsWithoutProposal(t *testing.T) {
	p := open(t, local.Options{})
	for _, f := range formtest.Read(t, ".") {
		for _, code := range []string{"", "x", "def add(a, b):\n    ", "What is this?", "# The answer:\n"} {
			r := complete(t, p, request(f, code, "\n\nprint(add(1, 2))\n"))
			if r.text() != "" || r.reason != "stop" {
				t.Errorf("%s, %q: %q, %q", f.Name, code, r.text(), r.reason)
			}
		}
	}
}

// TestChatWithoutProposal tells plugins, which get nothing, from persons, who get a sentence.
func TestChatWithoutProposal(t *testing.T) {
	p := open(t, local.Options{})
	for _, tt := range []struct {
		system, user string
		prose        bool
	}{
		{"", "What is the meaning of life?", true},
		{"You are a helpful assistant.", "Hello", true},
		{"", "What does this do?\n```go\nx\n```", true},
		{"", "How do I write an autocomplete widget?", true},
		{"", "What does the tag <prefix> mean?", true},
		{"", "```\nx\n```", false},
		{"", "Complete this:\n```py\ndef add(a, b):\n```", false},
		{"", "def add(a, b):\n    total = a\n", false},
		{"You are a code completion engine.", "def add(a, b):", false},
		{"You are an autocomplete tool for code.", "def add(a, b):", false},
		{"", "You are an autocomplete tool. Complete def add(a, b):", false},
		{"", "Answer with raw code, no markdown: def add(a, b):", false},
		{"The code is in <code_prefix>.", "def add(a, b):", false},
		{"", "<|fim_prefix|>def add(a, b):", false},
		{"", "<|editable_region_start|>\ndef add(a, b):<|user_cursor_is_here|>\n<|editable_region_end|>", false},
	} {
		r := complete(t, p, hub.CompletionRequest{Kind: hub.ChatCompletion, Messages: []hub.Message{
			{Role: "system", Content: tt.system}, {Role: "user", Content: tt.user},
		}})
		if got := strings.Contains(r.text(), "built-in completer"); got != tt.prose || !got && r.text() != "" {
			t.Errorf("%q, %q: %q", tt.system, tt.user, r.text())
		}
	}
}

// TestConversationAfterAForm: a person may go on talking after a message that looked like a plugin's.
func TestConversationAfterAForm(t *testing.T) {
	r := complete(t, open(t, local.Options{}), hub.CompletionRequest{Kind: hub.ChatCompletion, Messages: []hub.Message{
		{Role: "user", Content: enum + "█"},
		{Role: "assistant", Content: "case 5:"},
		{Role: "user", Content: "Thank you!"},
	}})
	if !strings.Contains(r.text(), "built-in completer") {
		t.Errorf("got %q", r.text())
	}
}

// TestBegunAnswer: the client begins the answer, which the completer only continues.
func TestBegunAnswer(t *testing.T) {
	p := open(t, local.Options{})
	for begun, want := range map[string]string{
		"```go\n" + enum: "case 5:\n\treturn \"n5\"", "Sure, here": "", "```python\n": "",
	} {
		r := complete(t, p, hub.CompletionRequest{Kind: hub.ChatCompletion, Messages: []hub.Message{
			{Role: "user", Content: "Please write the cases"}, {Role: "assistant", Content: begun},
		}})
		if r.text() != want {
			t.Errorf("%q: %q, want %q", begun, r.text(), want)
		}
	}
}

// TestBareAnswer: instructions that forbid fences get the code as it is to be inserted.
func TestBareAnswer(t *testing.T) {
	p := open(t, local.Options{})
	for _, user := range []string{enum, "```go\n" + enum + "\n```"} {
		r := complete(t, p, hub.CompletionRequest{Kind: hub.ChatCompletion, Messages: []hub.Message{
			{Role: "system", Content: "You are a code completion engine. Do not use markdown."},
			{Role: "user", Content: user},
		}})
		if r.text() != "case 5:\n\treturn \"n5\"" {
			t.Errorf("%q: %q", user, r.text())
		}
	}
}

// TestNoMarkerIsEmitted: text that repeats markers, so that the next one is foreseeable.
func TestNoMarkerIsEmitted(t *testing.T) {
	p := open(t, local.Options{})
	for _, m := range fim.Markers() {
		prompt := strings.Repeat("end(a, "+m+");\n", 8) + "end(a,"
		r := complete(t, p, hub.CompletionRequest{Kind: hub.TextCompletion, Prompt: prompt})
		if strings.Contains(r.text(), m) {
			t.Errorf("%s: %q", m, r.text())
		}
	}
}

// FuzzForms: whatever the code in a plugin's prompt is, the answer has no tag of any form, no marker and no prose.
func FuzzForms(f *testing.F) {
	forms := formtest.Read(f, ".")
	for i := range forms {
		f.Add(uint(i), enum, "\n}\n")
		f.Add(uint(i), strings.Repeat("a(<code_prefix>, <cursor>);\n", 4)+"a(", "<COMPLETION>")
	}
	p, err := local.New(local.Options{TokenDelay: -1})
	if err != nil {
		f.Fatal(err)
	}
	marks := slices.Concat(fim.Markers(), fim.ChatMarks(), []string{"duckwire-local", "DUCKWIRE_UPSTREAM_URL"})
	f.Fuzz(func(t *testing.T, form uint, prefix, suffix string) {
		if strings.Contains(strings.ToLower(prefix+suffix), "duckwire") {
			t.Skip("the code may repeat its own words")
		}
		r := complete(t, p, request(forms[form%uint(len(forms))], prefix, suffix))
		for _, m := range marks {
			if strings.Contains(r.text(), m) && prefix+suffix != "" {
				t.Errorf("%s in %q", m, r.text())
			}
		}
	})
}
