package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/provider/local"
)

// recorder records what a provider writes.
type recorder struct {
	t      testing.TB
	texts  []string
	reason string
	usage  json.RawMessage
	model  string
	onText func() error
}

func (r *recorder) Accepted()                        {}
func (r *recorder) Describe(info hub.CompletionInfo) { r.model = info.Model }
func (r *recorder) Chunk(json.RawMessage, string) error {
	r.t.Error("Chunk was called")
	return nil
}

func (r *recorder) Text(text string) error {
	if !utf8.ValidString(text) || text == "" {
		r.t.Errorf("Text(%q)", text)
	}
	r.texts = append(r.texts, text)
	if r.onText != nil {
		return r.onText()
	}
	return nil
}

func (r *recorder) Whole(json.RawMessage, string) error {
	r.t.Error("Whole was called")
	return nil
}

func (r *recorder) Finish(f hub.Finish) {
	r.reason, r.usage = f.Reason, f.Usage
	if f.ReasonSent || f.UsageSent {
		r.t.Error("Finish says that the reason or the usage was sent")
	}
}

func (r *recorder) text() string { return strings.Join(r.texts, "") }

func open(t testing.TB, opts local.Options) *local.Provider {
	if opts.TokenDelay == 0 {
		opts.TokenDelay = -1
	}
	p, err := local.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func complete(t testing.TB, p *local.Provider, req hub.CompletionRequest) *recorder {
	r := &recorder{t: t}
	if err := p.Complete(context.Background(), &req, r); err != nil {
		t.Fatal(err)
	}
	return r
}

const routes = "app.get('/users', (req, res) => {\n  res.json(db.users.all());\n});\n" +
	"app.get('/orders', (req, res) => {\n  res.json(db.orders.all());\n});\napp.get('/items',"

const enum = "switch n {\ncase 1:\n\treturn \"n1\"\ncase 2:\n\treturn \"n2\"\ncase 3:\n\treturn \"n3\"\ncase 4:\n" +
	"\treturn \"n4\"\n"

func TestTextAndFIM(t *testing.T) {
	p := open(t, local.Options{})
	tests := []struct {
		name string
		req  hub.CompletionRequest
		want string
	}{
		{"prompt", hub.CompletionRequest{Prompt: enum}, "case 5:\n\treturn \"n5\""},
		{
			"qwen",
			hub.CompletionRequest{Prompt: "<|fim_prefix|>" + enum + "<|fim_suffix|>\n}\n<|fim_middle|>"},
			"case 5:\n\treturn \"n5\"",
		},
		{
			"starcoder",
			hub.CompletionRequest{Prompt: "<fim_prefix>" + enum + "<fim_suffix>\n}\n<fim_middle>"},
			"case 5:\n\treturn \"n5\"",
		},
		{"codellama", hub.CompletionRequest{Prompt: "<PRE> " + enum + " <SUF>\n} <MID>"}, "case 5:\n\treturn \"n5\""},
		{"codestral", hub.CompletionRequest{Prompt: "[SUFFIX]\n}\n[PREFIX]" + enum}, "case 5:\n\treturn \"n5\""},
		{
			"deepseek",
			hub.CompletionRequest{Prompt: "<｜fim▁begin｜>" + enum + "<｜fim▁hole｜>\n}\n<｜fim▁end｜>"},
			"case 5:\n\treturn \"n5\"",
		},
		{"nothing known", hub.CompletionRequest{Prompt: "once upon"}, ""},
		{"empty", hub.CompletionRequest{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.req.Kind = hub.TextCompletion
			r := complete(t, p, tt.req)
			if !strings.HasPrefix(r.text(), tt.want) || tt.want == "" && r.text() != "" {
				t.Errorf("got %q, want %q first", r.text(), tt.want)
			}
			if r.reason != "stop" || r.model != local.Model {
				t.Errorf("reason %q, model %q", r.reason, r.model)
			}
		})
	}
}

func TestUsageAndLength(t *testing.T) {
	r := complete(t, open(t, local.Options{}),
		hub.CompletionRequest{Kind: hub.TextCompletion, Prompt: enum, MaxTokens: 3})
	if r.reason != "length" || r.text() != "case 5:" {
		t.Errorf("got %q, %q", r.text(), r.reason)
	}
	var u struct{ PromptTokens, CompletionTokens, TotalTokens int }
	u2 := map[string]int{}
	if err := json.Unmarshal(r.usage, &u2); err != nil {
		t.Fatal(err)
	}
	u.PromptTokens, u.CompletionTokens, u.TotalTokens = u2["prompt_tokens"], u2["completion_tokens"], u2["total_tokens"]
	if u.CompletionTokens != 3 || u.PromptTokens < 10 || u.TotalTokens != u.PromptTokens+3 {
		t.Errorf("usage %s", r.usage)
	}
}

func TestStopStrings(t *testing.T) {
	p := open(t, local.Options{})
	for _, tt := range []struct{ stop, want string }{
		{"\n", "case 5:"},
		{"5:", "case "},
		{"return \"", "case 5:\n\t"},
		{"\n\treturn", "case 5:"},
	} {
		r := complete(t, p, hub.CompletionRequest{
			Kind: hub.TextCompletion, Prompt: enum,
			Stop: []string{"never", tt.stop, ""},
		})
		if r.text() != tt.want || r.reason != "stop" {
			t.Errorf("stop %q: got %q, %q; want %q", tt.stop, r.text(), r.reason, tt.want)
		}
	}
}

func TestChat(t *testing.T) {
	p := open(t, local.Options{})
	ask := func(content string) string {
		return complete(t, p, hub.CompletionRequest{Kind: hub.ChatCompletion, Messages: []hub.Message{
			{Role: "system", Content: "You complete code."}, {Role: "user", Content: content},
		}}).text()
	}
	tests := []struct{ name, content, want string }{
		{"fenced", "Please continue:\n```go\n" + enum + "```\nThanks!", "```go\ncase 5:\n\treturn \"n5\"\n```\n"},
		{"open fence", "```go\n" + enum + "case", "```go\ncase 5:\n\treturn \"n5\"\n```\n"},
		{
			"last line unfinished", "Go on:\n```js\n" + routes + "\n```",
			"```js\napp.get('/items', (req, res) => {\n  res.json(db.items.all());\n});\n```\n",
		},
		{"bare code", enum, "```\ncase 5:\n\treturn \"n5\"\n```\n"},
		{"prose", "What is the meaning of life?", "DUCKWIRE_UPSTREAM_URL"},
		{"no code to continue", "What is this?\n```\nx\n```", "built-in completer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ask(tt.content); !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	got := complete(t, p, hub.CompletionRequest{Kind: hub.ChatCompletion}).text()
	if !strings.Contains(got, "built-in") {
		t.Errorf("no messages: %q", got)
	}
}

func TestDeterminism(t *testing.T) {
	p := open(t, local.Options{})
	for _, seed := range []int64{0, 1, -5} {
		req := hub.CompletionRequest{Kind: hub.TextCompletion, Prompt: enum, Seed: seed}
		a, b := complete(t, p, req), complete(t, p, req)
		if a.text() != b.text() || len(a.texts) != len(b.texts) {
			t.Errorf("seed %d: %q, then %q", seed, a.text(), b.text())
		}
	}
}

func TestPausesBetweenTokensAndStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, local.Options{TokenDelay: time.Second})
		ctx, cancel := context.WithTimeout(context.Background(), 2500*time.Millisecond)
		defer cancel()
		r := &recorder{t: t}
		start := time.Now()
		err := p.Complete(ctx, &hub.CompletionRequest{Kind: hub.TextCompletion, Prompt: enum}, r)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2500*time.Millisecond ||
			len(r.texts) != 3 || r.reason != "" {
			t.Errorf("%v after %v: %q, %q", err, time.Since(start), r.texts, r.reason)
		}
	})
}

func TestCancelledContextAndClosedWriter(t *testing.T) {
	p := open(t, local.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	req := &hub.CompletionRequest{Kind: hub.TextCompletion, Prompt: strings.Repeat(enum, 100)}
	r := &recorder{t: t}
	if err := p.Complete(ctx, req, r); !errors.Is(err, context.Canceled) || len(r.texts) > 0 {
		t.Errorf("cancelled: %v, %q", err, r.texts)
	}
	r = &recorder{t: t, onText: func() error { return errs.ErrClosed }}
	if err := p.Complete(context.Background(), req, r); !errors.Is(err, errs.ErrClosed) || len(r.texts) != 1 {
		t.Errorf("closed: %v, %q", err, r.texts)
	}
}

func TestCorpus(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	known := "package a\n\nfunc Known(w io.Writer) error {\n" +
		"\tquuxWriter := newQuuxWriter(w)\n\treturn quuxWriter.Flush()\n}\n"
	put("a/known.go", known)
	put("b/invalid.go", "zorkFunc(\xff\xfe) zorkCall()\n")
	put("b/data.bin", "zorkFunc\x00 zorkCall()")
	put(".git/config.go", "zorkFunc = zorkCall(1, 2)\n")
	put("node_modules/x/x.js", "zorkFunc = zorkCall(1, 2)\n")
	p := open(t, local.Options{Corpus: dir})
	local.WaitForCorpus(p)
	ask := func(prompt string) string {
		return complete(t, p, hub.CompletionRequest{Kind: hub.TextCompletion, Prompt: prompt}).text()
	}
	got := ask("package b\n\nfunc Known(w io.Writer) error {\n\tquuxWriter :=")
	if !strings.HasPrefix(got, " newQuuxWriter(w)") {
		t.Errorf("known: %q", got)
	}
	if got := ask("x\nzorkFunc"); got != "" {
		t.Errorf("from a file that is to be skipped: %q", got)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []local.Options{{Corpus: filepath.Join(t.TempDir(), "missing")}, {MaxTokens: -1}} {
		if p, err := local.New(o); err == nil {
			p.Close()
			t.Errorf("%+v: no error", o)
		}
	}
}

func TestCloseWhileIndexing(t *testing.T) {
	p, err := local.New(local.Options{Corpus: "."})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestModels(t *testing.T) {
	m, err := open(t, local.Options{}).Models(context.Background())
	if err != nil || len(m) != 1 || m[0].ID != local.Model || m[0].OwnedBy != "duckwire" {
		t.Errorf("%v, %v", m, err)
	}
}
