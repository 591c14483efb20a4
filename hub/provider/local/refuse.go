package local

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"

	"github.com/duckwire/duckwire/hub"
)

// member is a member of OpenAI's requests that changes the shape of the answer. Clients that set it rely on that, so a
// request with a value that the completer cannot serve is refused. Members that only influence the choice of words
// (temperature, logit_bias, prediction …) are ignored.
type member struct {
	name string
	kind hub.CompletionKind // "": both
	able func(value any) bool
	only string // what the completer can do
}

var members = []member{
	{"n", "", isOne, "it makes one choice, so n must be 1"},
	{"best_of", "", isOne, "it makes one choice, so best_of must be 1"},
	{"max_tokens", "", isLength, "max_tokens must be an integer from 1"},
	{"max_completion_tokens", "", isLength, "max_completion_tokens must be an integer from 1"},
	{"stop", "", isStop, "stop must be a string or an array of strings"},
	{"echo", "", isOff, "it does not repeat the prompt, so echo must be false"},
	// In text completions 0 asks for the probability of each token of the answer.
	{"logprobs", hub.TextCompletion, isFalse, "it has no log probabilities, so logprobs must be left out"},
	{"logprobs", hub.ChatCompletion, isOff, "it has no log probabilities, so logprobs must be false"},
	{"top_logprobs", "", isOff, "it has no log probabilities, so top_logprobs must be 0"},
	{"response_format", "", isText, "its answers are text, so response_format must be of type text"},
	{"tool_choice", "", isOptional, "it calls no tools, so tool_choice must be auto or none"},
	{"function_call", "", isOptional, "it calls no functions, so function_call must be auto or none"},
	{"modalities", "", isTextOnly, "its answers are text, so modalities must be [\"text\"]"},
	{"audio", "", isAbsent, "its answers are text, so audio must be left out"},
	{"web_search_options", "", isAbsent, "it does not search the web, so web_search_options must be left out"},
	{"suffix", hub.ChatCompletion, isEmpty, "a chat has no suffix; send it to /v1/completions"},
}

// refuse returns an error for a request that the completer cannot serve as it is, or nil. It names the first such
// member.
func refuse(req *hub.CompletionRequest) error {
	for _, m := range members {
		raw, ok := req.Body[m.name]
		if !ok || m.kind != "" && m.kind != req.Kind {
			continue
		}
		var value any
		if json.Unmarshal(raw, &value) != nil || value != nil && !m.able(value) {
			return cannot(m.name, m.only)
		}
	}
	if req.MaxTokens < 0 {
		return cannot("max_tokens", "max_tokens must be an integer from 1")
	}
	return nil
}

func cannot(name, only string) error {
	e := &hub.ProviderError{
		Status: http.StatusBadRequest, Code: "unsupported_value", Type: "invalid_request_error", Param: name,
		Message: fmt.Sprintf("%s, the built-in completer, cannot do this: %s. "+
			"For a language model, set DUCKWIRE_UPSTREAM_URL to an OpenAI-compatible server.", Model, only),
	}
	// The end of a stream has no param of its own; the body has it.
	e.Body, _ = json.Marshal(map[string]string{"message": e.Message, "type": e.Type, "param": name, "code": e.Code})
	return e
}

// prompt returns the one text of a text completion. OpenAI's prompt may also be an array of texts, or tokens.
func prompt(req *hub.CompletionRequest) (string, error) {
	raw, ok := req.Body["prompt"]
	if !ok || req.Kind != hub.TextCompletion || len(raw) == 0 || raw[0] == '"' || string(raw) == "null" {
		return req.Prompt, nil
	}
	var texts []*string
	if json.Unmarshal(raw, &texts) != nil || len(texts) != 1 || texts[0] == nil {
		return "", cannot("prompt", "prompt must be one text: no tokens, and one request for each of several texts")
	}
	return *texts[0], nil
}

func isOne(v any) bool    { return v == 1.0 }
func isFalse(v any) bool  { return v == false }
func isOff(v any) bool    { return v == false || v == 0.0 }
func isAbsent(v any) bool { return false }
func isEmpty(v any) bool  { return v == "" }

func isLength(v any) bool {
	n, ok := v.(float64)
	return ok && n >= 1 && n == math.Trunc(n)
}

func isStop(v any) bool {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, s := range list {
		if _, ok := s.(string); !ok {
			return false
		}
	}
	return true
}

func isText(v any) bool {
	format, ok := v.(map[string]any)
	return ok && format["type"] == "text"
}

func isTextOnly(v any) bool {
	list, ok := v.([]any)
	for _, m := range list {
		ok = ok && m == "text"
	}
	return ok
}

// isOptional reports whether a choice of tools leaves the completer the choice to call none.
func isOptional(v any) bool {
	choice, ok := v.(map[string]any)
	if !ok {
		return v == "auto" || v == "none"
	}
	allowed, _ := choice["allowed_tools"].(map[string]any)
	return choice["type"] == "allowed_tools" && allowed["mode"] == "auto"
}
