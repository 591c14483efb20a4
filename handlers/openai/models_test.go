package openai_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/hub"
)

func TestAppendModels(t *testing.T) {
	got := string(openai.AppendModels(nil, []hub.Model{
		{ID: "a\"", Created: 5, OwnedBy: "o"},
		{ID: "b", Raw: json.RawMessage(`{ "context_length": 8192, "id": "b", "created": 1.7e9, "owned_by": null }`)},
		{ID: "c", Raw: json.RawMessage(`{"name":"c"}`)},
	}))
	want := `{"object":"list","data":[{"id":"a\"","object":"model","created":5,"owned_by":"o"},` +
		`{"context_length":8192,"id":"b","created":1.7e9,"owned_by":null,"object":"model"},` +
		`{"name":"c","id":"c","object":"model","created":0,"owned_by":""}]}`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := string(openai.AppendModels(nil, nil)); got != `{"object":"list","data":[]}` {
		t.Errorf("none: %s", got)
	}
}

func TestFindModel(t *testing.T) {
	models := []hub.Model{{ID: "openai/gpt-4o"}, {ID: "Qwen2.5-Coder"}, {ID: "llama"}}
	if m, err := openai.FindModel(models, "llama"); err != nil || m != &models[2] {
		t.Errorf("%v, %v", m, err)
	}
	for id, want := range map[string]string{
		"gpt-4o":                      "did you mean openai/gpt-4o?",
		"qwen2.5-coder":               "did you mean Qwen2.5-Coder?",
		"lama":                        "did you mean llama?",
		"something-else":              "GET /v1/models lists",
		strings.Repeat("<long>", 100): "…",
	} {
		_, err := openai.FindModel(models, id)
		var refused *hub.ProviderError
		if !errors.As(err, &refused) || refused.Status != 404 || refused.Code != "model_not_found" ||
			refused.Type != "invalid_request_error" || !strings.Contains(refused.Message, want) {
			t.Errorf("%q: %v; want %s", id, err, want)
		}
	}
}
