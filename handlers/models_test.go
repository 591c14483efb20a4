package handlers_test

import (
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/duckwire/duckwire/hub"
)

// listing is a provider with these models.
type listing struct {
	scripted
	models []hub.Model
	err    error
}

func (l listing) Models(context.Context) ([]hub.Model, error) { return l.models, l.err }

func TestModelsPassUntouched(t *testing.T) {
	entry := `{"context_length":8192,"id":"openai/gpt-4o","created":1.7e9,"object":"model","owned_by":"o"}`
	s := startServer(t, listing{models: []hub.Model{
		{ID: "openai/gpt-4o", Raw: json.RawMessage(entry)}, {ID: "b", Created: 7, OwnedBy: "x"},
	}}, hub.Limits{}, nil)
	for path, want := range map[string]string{
		"/v1/models": `{"object":"list","data":[` + entry +
			`,{"id":"b","object":"model","created":7,"owned_by":"x"}]}`,
		"/v1/models/openai/gpt-4o":   entry,
		"/v1/models/openai%2Fgpt-4o": entry,
		"/v1/models/openai%2fgpt-4o": entry,
		"/v1/models/b":               `{"id":"b","object":"model","created":7,"owned_by":"x"}`,
	} {
		resp := s.do("GET", path, "")
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || string(body) != want {
			t.Errorf("%s: %s %s\nwant %s", path, resp.Status, body, want)
		}
	}
	for path, want := range map[string]string{
		"/v1/models/gpt-4o":       `there is no model \"gpt-4o\"; did you mean openai/gpt-4o?`,
		"/v1/models/openai/gpt-5": `there is no model \"openai/gpt-5\"; did you mean openai/gpt-4o?`,
		"/v1/models/a%20b%2F":     `there is no model \"a b/\"; GET /v1/models lists those that there are`,
	} {
		resp := s.do("GET", path, "")
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		want = `{"error":{"message":"` + want +
			`","type":"invalid_request_error","param":null,"code":"model_not_found"}}`
		if resp.StatusCode != 404 || string(body) != want {
			t.Errorf("%s: %s %s\nwant %s", path, resp.Status, body, want)
		}
	}
}

func TestModelsErrorsAreOpenAIs(t *testing.T) {
	s := startServer(t, listing{err: io.ErrUnexpectedEOF}, hub.Limits{}, nil)
	for _, path := range []string{"/v1/models", "/v1/models/a/b"} {
		for status, auth := range map[int]string{401: "Authorization: Bearer no", 502: ""} {
			var headers []string
			if auth != "" {
				headers = []string{auth}
			}
			resp := s.do("GET", path, "", headers...)
			var e struct {
				Error struct{ Message, Code string }
			}
			err := json.NewDecoder(resp.Body).Decode(&e)
			resp.Body.Close()
			if resp.StatusCode != status || err != nil || e.Error.Message == "" || e.Error.Code == "" {
				t.Errorf("%s: %s, %v, %+v; want %d", path, resp.Status, err, e, status)
			}
		}
	}
}
