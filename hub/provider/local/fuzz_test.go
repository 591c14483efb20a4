package local_test

import (
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/provider/local"
)

// FuzzProvider checks that the answer to any request is valid UTF-8 (checked by the recorder), within the limit, and
// ends with a finish reason.
func FuzzProvider(f *testing.F) {
	f.Add(enum, "", "\n\n", 5, false)
	f.Add("```go\n"+enum+"```", "", "", 0, true)
	f.Add("<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>", "", "", 0, false)
	f.Add("<PRE> a <SUF>b <MID>", "", "x", 1, false)
	f.Add("[SUFFIX]b[PREFIX]a", "", "", 1, true)
	p, err := local.New(local.Options{TokenDelay: -1})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, prompt, suffix, stop string, limit int, chat bool) {
		req := hub.CompletionRequest{
			Kind: hub.TextCompletion, Prompt: prompt, Suffix: suffix, HasSuffix: suffix != "",
			Stop: []string{stop}, MaxTokens: max(limit, 0),
		}
		if chat {
			req.Kind, req.Messages = hub.ChatCompletion, []hub.Message{
				{Role: "assistant", Content: suffix},
				{Role: "user", Content: prompt},
			}
		}
		start := time.Now()
		r := complete(t, p, req)
		if r.reason != "stop" && r.reason != "length" || req.MaxTokens > 0 && len(r.texts) > req.MaxTokens+1 ||
			time.Since(start) > hubtest.Hung {
			t.Errorf("%d texts, reason %q, after %v", len(r.texts), r.reason, time.Since(start))
		}
	})
}
