package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/local"
)

// accepting records whether the request was accepted.
type accepting struct {
	recorder
	accepted bool
}

func (a *accepting) Accepted() { a.accepted = true }

// TestRefuses: a request that the completer cannot serve gets status 400, which names the member, before it is
// accepted.
func TestRefuses(t *testing.T) {
	p := open(t, local.Options{})
	both := []hub.CompletionKind{hub.TextCompletion, hub.ChatCompletion}
	text, chat := both[:1], both[1:]
	for _, tt := range []struct {
		kinds  []hub.CompletionKind
		name   string
		good   string // values that are served, as a JSON array
		refuse string // values that are refused
	}{
		{both, "n", `[null, 1, 1.0]`, `[2, 0, -1, 1.5, "1", 1e300]`},
		{both, "best_of", `[null, 1]`, `[2, 0, "x"]`},
		{both, "echo", `[null, false]`, `[true, "yes"]`},
		{text, "logprobs", `[null, false]`, `[0, 1, 5, true]`},
		{chat, "logprobs", `[null, false, 0]`, `[true, 1]`},
		{both, "top_logprobs", `[null, 0]`, `[1, 20]`},
		{
			both, "response_format", `[null, {"type": "text"}]`,
			`[{"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "x"}}, {}, "json"]`,
		},
		{
			both, "tool_choice", `[null, "auto", "none", {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}]`,
			`["required", "any", {"type": "function", "function": {"name": "f"}},
				{"type": "allowed_tools", "allowed_tools": {"mode": "required"}}]`,
		},
		{both, "function_call", `[null, "auto", "none"]`, `[{"name": "f"}]`},
		{both, "modalities", `[null, [], ["text"]]`, `[["text", "audio"], ["audio"], "audio"]`},
		{both, "audio", `[null]`, `[{"voice": "alloy", "format": "wav"}]`},
		{both, "web_search_options", `[null]`, `[{}]`},
		{both, "max_tokens", `[null, 1, 16.0, 1e30]`, `[0, -1, 1.5, "16"]`},
		{both, "max_completion_tokens", `[null, 1]`, `[0, -5]`},
		{both, "stop", `[null, "x", [], ["a", "b", ""]]`, `[7, ["a", 7], {}]`},
		{chat, "suffix", `[null, ""]`, `["x"]`},
		{text, "suffix", `[null, "", "x"]`, `[]`},
		{text, "prompt", `[null, "x", ["x"], [""]]`, `[[], ["a", "b"], [1, 2], [[1, 2]], [[1], [2]], 7, {}, [null]]`},
		{both, "tools", `[null, [], [{"type": "function", "function": {"name": "f"}}]]`, `[]`},
		{both, "temperature", `[0, 2]`, `[]`},
		{both, "prediction", `[{"type": "content", "content": "x"}]`, `[]`},
	} {
		for _, kind := range tt.kinds {
			for _, v := range values(t, tt.good) {
				if e := refused(t, p, kind, tt.name, v); e != nil {
					t.Errorf("%s %s %s: %v", kind, tt.name, v, e)
				}
			}
			for _, v := range values(t, tt.refuse) {
				e := refused(t, p, kind, tt.name, v)
				if e == nil || e.Status != 400 || e.Type != "invalid_request_error" || e.Param != tt.name ||
					e.Code != "unsupported_value" || !strings.Contains(e.Message, tt.name) ||
					!strings.Contains(e.Message, "DUCKWIRE_UPSTREAM_URL") ||
					!strings.Contains(string(e.Body), `"param":"`+tt.name+`"`) {
					t.Errorf("%s %s %s: %+v", kind, tt.name, v, e)
				}
			}
		}
	}
}

func values(t *testing.T, list string) (out []json.RawMessage) {
	t.Helper()
	if err := json.Unmarshal([]byte(list), &out); err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	return out
}

// refused returns the refusal of a request with one member, or nil.
func refused(
	t *testing.T, p *local.Provider, kind hub.CompletionKind, name string, value json.RawMessage,
) *hub.ProviderError {
	t.Helper()
	req := &hub.CompletionRequest{Kind: kind, Body: map[string]json.RawMessage{name: value}}
	a := &accepting{recorder: recorder{t: t}}
	err := p.Complete(context.Background(), req, a)
	var e *hub.ProviderError
	if errors.As(err, &e) == a.accepted || err != nil && e == nil {
		t.Errorf("%s %s %s: accepted %t, %v", kind, name, value, a.accepted, err)
	}
	return e
}

// TestPromptInAnArray: OpenAI's prompt may be an array of one text.
func TestPromptInAnArray(t *testing.T) {
	prompt, err := json.Marshal([]string{enum})
	if err != nil {
		t.Fatal(err)
	}
	r := complete(t, open(t, local.Options{}), hub.CompletionRequest{
		Kind: hub.TextCompletion, Body: map[string]json.RawMessage{"prompt": prompt},
	})
	if !strings.HasPrefix(r.text(), "case 5:") {
		t.Errorf("got %q", r.text())
	}
}

// TestManyStops: their number is the client's choice, and hardly changes the cost.
func TestManyStops(t *testing.T) {
	var list []string
	for i := range 200_000 {
		list = append(list, fmt.Sprintf("stop %d", i))
	}
	list = append(list, "return", "returns", "")
	r := complete(t, open(t, local.Options{}), hub.CompletionRequest{Kind: hub.TextCompletion, Prompt: enum, Stop: list})
	if r.text() != "case 5:\n\t" || r.reason != "stop" {
		t.Errorf("got %q, %q", r.text(), r.reason)
	}
}
