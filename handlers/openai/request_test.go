package openai_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

func TestDecodeChat(t *testing.T) {
	body := `{"model":"m","messages":[
		{"role":"system","content":"be brief"},
		{"role":"developer","content":[
			{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"x"}},{"type":"text","text":"b"}]},
		{"role":"user","content":"hi","name":"u"},
		{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},
		{"role":"tool","tool_call_id":"1","content":"out"},
		{"role":"function","name":"f","content":""}],
		"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},
		"max_tokens":5,"max_completion_tokens":7,"stop":"\n",
		"n":2,"seed":-3,"temperature":0.1,"unknown":{"big":9007199254740993},
		"duckwire":{"id":"a.b_c~d:e-1","topic":"code:project:42",
			"keep":{"cancel_after":1.5},"slot":"cursor","supersede":"finish"}}`
	req, err := openai.DecodeRequest(hub.ChatCompletion, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if string(req.Body["unknown"]) != `{"big":9007199254740993}` || req.Body["duckwire"] != nil || len(req.Body) != 11 {
		t.Errorf("body %v", req.Body)
	}
	req.Body = nil
	want := &openai.Request{
		CompletionRequest: hub.CompletionRequest{
			Kind: hub.ChatCompletion, Model: "m", MaxTokens: 7, Stop: []string{"\n"}, Seed: -3,
			Messages: []hub.Message{
				{Role: "system", Content: "be brief"},
				{Role: "developer", Content: "ab"},
				{Role: "user", Content: "hi"},
				{Role: "assistant"},
				{Role: "tool", Content: "out"},
				{Role: "function"},
			},
		},
		Stream: true, IncludeUsage: true, Extended: true,
		ID: "a.b_c~d:e-1", Topic: "code:project:42", Keep: &hub.IdlePolicy{CancelAfter: 1500 * time.Millisecond}, Slot: "cursor",
		Supersede: hub.SupersedeFinish,
	}
	if !reflect.DeepEqual(req, want) {
		t.Errorf("%+v\nwant %+v", req, want)
	}
}

func TestDecodeText(t *testing.T) {
	for body, want := range map[string]hub.CompletionRequest{
		`{"prompt":"P"}`: {Prompt: "P"},
		` {"prompt":["P"],"suffix":"S","stop":["a","b"],"max_tokens":16.0} `: {
			Prompt: "P", Suffix: "S", HasSuffix: true, Stop: []string{"a", "b"}, MaxTokens: 16,
		},
		`{"prompt":"","suffix":"","model":null,"stream":null,"stop":null,"duckwire":null}`: {HasSuffix: true},

		`{"prompt":"P","suffix":null}`:           {Prompt: "P"},
		`{"prompt":1,"prompt":"a","prompt":"b"}`: {Prompt: "b"},
	} {
		req, err := openai.DecodeRequest(hub.TextCompletion, []byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		want.Kind, req.Body = hub.TextCompletion, nil
		if !reflect.DeepEqual(req.CompletionRequest, want) || req.Keep != nil {
			t.Errorf("%s: %+v, want %+v", body, req, want)
		}
	}
}

// TestDecodeLeavesToUpstream: what only concerns the model is passed on, also if it cannot be read here.
func TestDecodeLeavesToUpstream(t *testing.T) {
	chat := func(member string) string { return `{"messages":[{"role":"user","content":"x"}],` + member + `}` }
	message := func(m string) string { return `{"messages":[` + m + `]}` }
	for _, body := range []string{
		chat(`"max_tokens":0`), chat(`"max_tokens":-1`), chat(`"max_tokens":1.5`), chat(`"max_tokens":"5"`),
		chat(`"max_tokens":99999999999999999999`), chat(`"max_completion_tokens":-1`), chat(`"n":0`), chat(`"n":"x"`),
		chat(`"seed":"x"`), chat(`"stop":7`), chat(`"stop":["a",7]`), chat(`"stream_options":true`),
		chat(`"stream_options":{"include_usage":1}`), chat(`"stop":["` + strings.Repeat(`x","`, 40) + `x"]`),
		message(`{"content":"x"}`), message(`{"role":"critic","content":"x"}`), message(`{"role":7}`),
		message(`{"role":"user","content":7}`), message(`{"role":"user","content":["x"]}`),
		message(`{"role":"user","content":[{"text":"x"}]}`), message(`{"role":"user","content":[{"type":"text"}]}`),
		message(`{"role":"user","content":[{"type":"text","text":7}]}`),
	} {
		leaves(t, hub.ChatCompletion, body)
	}
	for _, body := range []string{
		`{"prompt":[1,2]}`, `{"prompt":[[1,2],[3]]}`, `{"prompt":[]}`, `{"prompt":["a","b"]}`, `{"prompt":[null]}`,
		`{"prompt":"x","suffix":7}`,
	} {
		req := leaves(t, hub.TextCompletion, body)
		if req != nil && req.Prompt != "" && req.Prompt != "x" {
			t.Errorf("%s: prompt %q", body, req.Prompt)
		}
	}
}

func leaves(t *testing.T, kind hub.CompletionKind, body string) *openai.Request {
	t.Helper()
	req, err := openai.DecodeRequest(kind, []byte(body))
	if err != nil {
		t.Errorf("%.100s: %v", body, err)
	}
	return req
}

func TestDecodeKeep(t *testing.T) {
	for keep, want := range map[string]*hub.IdlePolicy{
		`"finish"`: {}, `null`: nil, `{"cancel_after":0}`: {CancelAfter: 1},
		`{"cancel_after":10}`: {CancelAfter: 10 * time.Second},
	} {
		req, err := openai.DecodeRequest(hub.TextCompletion, []byte(`{"prompt":"","duckwire":{"keep":`+keep+`}}`))
		if err != nil || !reflect.DeepEqual(req.Keep, want) {
			t.Errorf("%s: %v, %+v; want %+v", keep, err, req, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	ours := func(d string) string { return `{"messages":[{"role":"user","content":"x"}],"duckwire":` + d + `}` }
	for _, c := range []struct{ body, field, reason string }{
		{"", "body", "JSON"},
		{"nonsense", "body", "object"},
		{"[1]", "body", "object"},
		{`"x"`, "body", "object"},
		{`null`, "body", "object"},
		{`{"messages":[]} {}`, "body", "JSON"},
		{`{"messages":`, "body", "JSON"},
		{"{\"x\":\"\xff\"}", "body", "UTF-8"},
		{`{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "body", "depth"},
		{`{}`, "messages", "missing"},
		{`{"messages":null}`, "messages", "missing"},
		{`{"messages":"x"}`, "messages", "array"},
		{`{"messages":[]}`, "messages", "empty"},
		{`{"messages":["x"]}`, "messages[0]", "object"},
		{`{"messages":[null]}`, "messages[0]", "object"},
		{`{"model":7}`, "model", "string"},
		{`{"stream":"yes"}`, "stream", "true or false"},
		{ours(`7`), "duckwire", "object"},
		{ours(`{"keeep":"finish"}`), "duckwire.keeep", "did you mean keep?"},
		{ours(`{"Slot":"x"}`), "duckwire.Slot", "did you mean slot?"},
		{ours(`{"whatever":1}`), "duckwire.whatever", "known here: id, topic"},
		{ours(`{"id":""}`), "duckwire.id", "1 to 128"},
		{ours(`{"id":7}`), "duckwire.id", "string"},
		{ours(`{"id":"a b"}`), "duckwire.id", "1 to 128"},
		{ours(`{"id":"` + strings.Repeat("x", 129) + `"}`), "duckwire.id", "1 to 128"},
		{ours(`{"slot":"a/b"}`), "duckwire.slot", "1 to 128"},
		{ours(`{"topic":""}`), "duckwire.topic", "empty"},
		{ours(`{"topic":"a*"}`), "duckwire.topic", "*"},
		{ours(`{"keep":"finnish"}`), "duckwire.keep", "finish"},
		{ours(`{"keep":7}`), "duckwire.keep", "finish"},
		{ours(`{"keep":{}}`), "duckwire.keep.cancel_after", "missing"},
		{ours(`{"keep":{"cancel_after":-1}}`), "duckwire.keep.cancel_after", "seconds"},
		{ours(`{"keep":{"cancel_after":1e300}}`), "duckwire.keep.cancel_after", "seconds"},
		{ours(`{"keep":{"cancel_after":"1"}}`), "duckwire.keep.cancel_after", "seconds"},
		{ours(`{"keep":{"cancelafter":1}}`), "duckwire.keep.cancelafter", "did you mean cancel_after?"},
		{ours(`{"supersede":"yes"}`), "duckwire.supersede", "stop"},
	} {
		refuses(t, hub.ChatCompletion, c.body, c.field, c.reason)
	}
	for _, c := range []struct{ body, field, reason string }{
		{`{}`, "prompt", "missing"},
		{`{"prompt":7}`, "prompt", "string"},
		{`{"prompt":{}}`, "prompt", "string"},
	} {
		refuses(t, hub.TextCompletion, c.body, c.field, c.reason)
	}
}

func refuses(t *testing.T, kind hub.CompletionKind, body, field, reason string) {
	t.Helper()
	req, err := openai.DecodeRequest(kind, []byte(body))
	var e *errs.FieldError
	if !errors.As(err, &e) || req != nil || e.Field != field || !strings.Contains(e.Reason, reason) {
		t.Errorf("%.100s: %+v, %v; want %s: …%s…", body, req, err, field, reason)
	}
}

// FuzzDecodeRequest: for any input, the decoder returns a request or an error that names the field, and does not panic.
// Requests that it accepts are passed on unchanged.
func FuzzDecodeRequest(f *testing.F) {
	seeds, err := filepath.Glob("testdata/requests/*.json")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range seeds {
		body, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, kind := range []hub.CompletionKind{hub.ChatCompletion, hub.TextCompletion} {
			req, err := openai.DecodeRequest(kind, body)
			if err != nil {
				var e *errs.FieldError
				if req != nil || !errors.As(err, &e) || e.Field == "" || e.Reason == "" {
					t.Fatalf("%v, %v", req, err)
				}
				continue
			}
			var members map[string]json.RawMessage
			if err := json.Unmarshal(body, &members); err != nil {
				t.Fatalf("accepted what is no JSON object: %v", err)
			}
			delete(members, "duckwire")
			if !reflect.DeepEqual(map[string]json.RawMessage(req.Body), members) {
				t.Fatalf("handed on %q of %q", req.Body, members)
			}
		}
	})
}
