package openai_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/openai"
)

func chat(choice string) string { return `{` + head + `,"choices":[` + choice + `]}` }

func TestStreams(t *testing.T) {
	const end = `finish stop {"total_tokens":3} false`
	tool := chat(`{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}}]},` +
		`"finish_reason":null}`)
	for _, c := range []struct {
		name   string
		stream string
		want   []string
	}{
		{
			"plain", data(opening, delta("Hel"), delta("lo"), finished, usage, done),
			[]string{"text Hel", "text lo", end},
		},
		{
			"usage in the finish chunk", data(delta("a"),
				`{`+head+`,"choices":[{"index":0,"delta":{"content":""},"finish_reason":"length"}],"usage":{"n":1}}`,
				done),
			[]string{
				"text a", `chunk {` + head + `,"choices":[{"index":0,"delta":{"content":""},"finish_reason":"length"}],` +
					`"usage":{"n":1}} []`, `finish length {"n":1} true with the usage`,
			},
		},
		{
			"text in the finish chunk", data(chat(`{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}`), done),
			[]string{"text a", "finish stop  false"},
		},
		{
			"nulls are nothing (vLLM)",
			data(chat(`{"index":0,"delta":{"content":"a","reasoning_content":null,"tool_calls":[]},"logprobs":null,`+
				`"finish_reason":null,"stop_reason":null}`), finished, done),
			[]string{"text a", "finish stop  false"},
		},
		{"created differs (Ollama)", data(delta("a"), strings.Replace(delta("b"), `"created":7`, `"created":8`, 1),
			finished, done), []string{"text a", "text b", "finish stop  false"}},
		{
			"obfuscation", data(strings.Replace(delta("a"), `"id"`, `"obfuscation":"xyz","id"`, 1), finished, done),
			[]string{"text a", "finish stop  false"},
		},
		{
			"id differs", data(delta("a"), strings.Replace(delta("b"), `c1`, `c2`, 1), finished, done),
			[]string{"text a", "text b", "finish stop  false"},
		},
		{
			"tool call", data(opening, tool, chat(`{"index":0,"delta":{},"finish_reason":"tool_calls"}`), done),
			[]string{"chunk " + tool + " []", "finish tool_calls  false"},
		},
		{
			"finish with extras",
			data(delta("a"), chat(`{"index":0,"delta":{},"finish_reason":"stop","stop_reason":7}`), usage, done),
			[]string{
				"text a", "chunk " + chat(`{"index":0,"delta":{},"finish_reason":"stop","stop_reason":7}`) + " []",
				`finish stop {"total_tokens":3} true`,
			},
		},
		{"two choices", data(delta("a"), chat(`{"index":1,"delta":{"content":"b"},"finish_reason":null}`),
			chat(`{"index":1,"delta":{},"finish_reason":"stop"}`), finished, done), []string{
			"text a",
			"chunk " + chat(`{"index":1,"delta":{"content":"b"},"finish_reason":null}`) + " []",
			"chunk " + chat(`{"index":1,"delta":{},"finish_reason":"stop"}`) + " []", "finish stop  false",
		}},
		{
			"reasoning with text", data(chat(`{"index":0,"delta":{"content":"a","reasoning":"b"}}`), finished, done),
			[]string{
				"chunk " + chat(`{"index":0,"delta":{"content":"a","reasoning":"b"}}`) + " [a]", "finish stop  false",
			},
		},
		{
			"big number, key order, white space", data(
				`{ "x" : 9007199254740993, `+head+`, "choices":[{"delta":{"content":"a"},"index":0}] }`,
				finished, done),
			[]string{
				`chunk {"x":9007199254740993,` + head + `,"choices":[{"delta":{"content":"a"},"index":0}]} [a]`,
				"finish stop  false",
			},
		},
		{
			"duplicate keys", data(chat(`{"index":0,"delta":{"content":"a","content":"b"}}`), finished, done),
			[]string{
				"chunk " + chat(`{"index":0,"delta":{"content":"a","content":"b"}}`) + " [b]", "finish stop  false",
			},
		},
		{
			"case matters", data(chat(`{"index":0,"delta":{"Content":"a"}}`), finished, done),
			[]string{"chunk " + chat(`{"index":0,"delta":{"Content":"a"}}`) + " []", "finish stop  false"},
		},
		{
			"first chunk without choices (Azure)", data(
				`{"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[]}`,
				delta("a"), finished, done),
			[]string{
				`chunk {"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[]} []`,
				"text a", "finish stop  false",
			},
		},
		{
			"provider in each chunk (OpenRouter)", data(
				`{`+head+`,"provider":"P","choices":[{"index":0,"delta":{"content":"a"}}]}`,
				`{`+head+`,"provider":"P","choices":[],"usage":{"n":1}}`, done),
			[]string{
				`chunk {` + head + `,"provider":"P","choices":[{"index":0,"delta":{"content":"a"}}]} [a]`,
				`finish stop {"n":1} false`,
			},
		},
		{
			"extras in the usage chunk",
			data(delta("a"), finished, `{`+head+`,"choices":[],"timings":{"ms":1},"usage":{"n":1}}`, done),
			[]string{"text a", `finish stop {"n":1} false`},
		},
		{
			"text on the chat endpoint",
			data(`{"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"text":"a","index":0,`+
				`"logprobs":null,"finish_reason":null}]}`, done),
			[]string{"text a", "finish stop  false"},
		},
		{
			"surrogate cut in two", data(chat(`{"index":0,"delta":{"content":"a\ud83e"}}`),
				chat(`{"index":0,"delta":{"content":""}}`), chat(`{"index":0,"delta":{"content":"\udd86b"}}`),
				finished, done),
			[]string{"text a", "text 🦆b", "finish stop  false"},
		},
		{
			"surrogate left over", data(chat(`{"index":0,"delta":{"content":"a\\\uD83E"}}`), finished, done),
			[]string{`text a\`, "text \ufffd", "finish stop  false"},
		},
		{
			"escaped backslash is none", data(chat(`{"index":0,"delta":{"content":"a\\ud83e"}}`), finished, done),
			[]string{`text a\ud83e`, "finish stop  false"},
		},
		{
			"invalid UTF-8", data(chat(`{"index":0,"delta":{"content":"a`+"\xff"+`b"}}`), finished, done),
			[]string{"text a\ufffdb", "finish stop  false"},
		},
		{"escaped NUL", data(delta("a\x00b"), finished, done), []string{"text a\x00b", "finish stop  false"}},
		{"no [DONE]", data(delta("a"), finished), []string{"text a", "finish stop  false"}},
		{"no reason but [DONE]", data(delta("a"), done), []string{"text a", "finish stop  false"}},
		{"nothing but [DONE]", data(done), []string{"finish stop  false"}},
		{
			"half an event after the finish", data(delta("a"), finished) + "data: {",
			[]string{"text a", "finish stop  false"},
		},
		{
			"[DONE] without its empty line", data(delta("a"), finished) + "data: [DONE]",
			[]string{"text a", "finish stop  false"},
		},
		{"after [DONE]", data(delta("a"), finished, done, delta("b")), []string{"text a", "finish stop  false"}},
		{
			"CRLF", strings.ReplaceAll(data(delta("a"), finished, done), "\n", "\r\n"),
			[]string{"text a", "finish stop  false"},
		},
		{
			"CR", strings.ReplaceAll(data(delta("a"), finished, done), "\n", "\r"),
			[]string{"text a", "finish stop  false"},
		},
		{"BOM", "\ufeff" + data(delta("a"), finished, done), []string{"text a", "finish stop  false"}},
		{
			"comments and fields",
			": hi\n\nretry: 5\n\nevent: x\nid: 7\n" + data(delta("a")) + ": ping\n\n" + data(finished, done),
			[]string{"text a", "finish stop  false"},
		},
		{
			"named ping", "event: ping\ndata: {\"type\":\"ping\"}\n\n" + data(delta("a"), finished, done),
			[]string{"text a", "finish stop  false"},
		},
		{
			"empty data", "data:\n\nevent: ping\n\n" + data(delta("a"), finished, done),
			[]string{"text a", "finish stop  false"},
		},
		{
			"no space", "data:" + delta("a") + "\n\ndata:" + finished + "\n\ndata:[DONE]\n\n",
			[]string{"text a", "finish stop  false"},
		},
		{
			"several lines",
			"data: {" + head + ",\ndata: \"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":\"a\"}}]}\n\n" +
				data(finished, done),
			[]string{"text a", "finish stop  false"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rec, err := ask(t, sends(c.stream), openai.Options{})
			want := append([]string{"accepted"}, c.want...)
			if err != nil || !slices.Equal(rec.log, want) {
				t.Errorf("%v\n got %q\nwant %q", err, rec.log, want)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	rec, err := ask(t, sends(data(`{`+head+`,"system_fingerprint":"fp","service_tier":"default",`+
		`"choices":[{"index":0,"delta":{"content":"a"}}]}`, done)), openai.Options{})
	want := hub.CompletionInfo{ID: "c1", Created: 7, Model: "m", SystemFingerprint: "fp", ServiceTier: "default"}
	if err != nil || rec.info != want {
		t.Errorf("%v, %+v; want %+v", err, rec.info, want)
	}
}

func TestTextDoor(t *testing.T) {
	text := func(s string) string {
		return `{"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"text":"` + s + `",` +
			`"index":0,"logprobs":null,"finish_reason":null}],"usage":null}`
	}
	for name, stream := range map[string]string{
		"text": data(text("a"), text("b"),
			`{"id":"c","object":"text_completion","created":1,"model":"m",`+
				`"choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"stop"}]}`, done),
		"chat (Mistral)": data(delta("a"), delta("b"), finished, done),
	} {
		var path string
		url := upstream(t, func(w http.ResponseWriter, r *http.Request) { path = r.URL.Path; sends(stream)(w, r) })
		rec := &recorder{}
		err := newProvider(t, openai.Options{BaseURL: url}).Complete(t.Context(),
			request(t, hub.TextCompletion, `{"prompt":"x"}`), rec)
		if want := []string{"accepted", "text a", "text b", "finish stop  false"}; err != nil ||
			path != "/v1/completions" || !slices.Equal(rec.log, want) {
			t.Errorf("%s: %v, %s, %q; want %q", name, err, path, rec.log, want)
		}
	}
}

func TestBadStreams(t *testing.T) {
	for _, c := range []struct {
		name, stream, code string
	}{
		{"empty", "", "upstream_truncated"},
		{"only comments", ": a\n\n", "upstream_truncated"},
		{"ends before the finish", data(delta("a")), "upstream_truncated"},
		{"half an event", data(delta("a")) + "data: {\"id", "upstream_truncated"},
		{"finish without its empty line", data(delta("a")) + "data: " + finished + "\n", "upstream_truncated"},
		{
			"another choice is open", data(delta("a"), chat(`{"index":1,"delta":{"content":"b"}}`), finished),
			"upstream_truncated",
		},
		{"not JSON", data(delta("a"), "hello"), "upstream_invalid"},
		{"half JSON", data(delta("a"), `{"choices":[`), "upstream_invalid"},
		{"an array", data("[]"), "upstream_invalid"},
		{"raw NUL", data("{\"id\":\"\x00\"}"), "upstream_invalid"},
		{"too long", data(delta(strings.Repeat("x", 20_000)), finished, done), "upstream_invalid"},
		{"too long a comment", ":" + strings.Repeat("x", 20_000) + "\n" + data(done), "upstream_invalid"},
		{"depth bomb", data(strings.Repeat("[", 20_000)), "upstream_invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			limit := 0
			if strings.HasPrefix(c.name, "too long") {
				limit = 10_000
			}
			rec, err := ask(t, sends(c.stream), openai.Options{MaxEvent: limit})
			providerError(t, err, http.StatusBadGateway, c.code)
			if strings.Contains(strings.Join(rec.log, " "), "finish") && c.name != "another choice is open" {
				t.Errorf("was finished: %q", rec.log)
			}
		})
	}
}

func TestErrorsWithinAStream(t *testing.T) {
	for _, c := range []struct {
		name, event   string
		status        int
		code, message string
		body          string
	}{
		{
			"object", `data: {"error":{"message":"boom","type":"t","param":"p","code":"c"}}`, 502, "c", "boom",
			`{"error":{"message":"boom","type":"t","param":"p","code":"c"}}`,
		},
		{
			"named", "event: error\ndata: {\"error\":{\"message\":\"boom\"}}", 502, "upstream_error", "boom",
			`{"error":{"message":"boom"}}`,
		},
		{
			"named, bare", "event: error\ndata: {\"message\":\"boom\"}", 502, "upstream_error", "boom",
			`{"message":"boom"}`,
		},
		{"named, text", "event: error\ndata: boom", 502, "upstream_error", "boom", ""},
		{"Ollama", `data: {"error":"boom"}`, 502, "upstream_error", "boom", ""},
		{
			"status as code", `data: {"error":{"message":"slow","code":429}}`, 429, "upstream_error", "slow",
			`{"error":{"message":"slow","code":429}}`,
		},
		{
			"our key", `data: {"error":{"message":"bad key sk-12***","code":401}}`, 502, "upstream_unauthorized",
			"the upstream refuses this server's key (401); whoever runs the server must set another", "",
		},
		{
			"quotes the key", `data: {"error":{"message":"bad key sk-secret"}}`, 502, "upstream_error", "bad key ***",
			`{"error":{"message":"bad key ***"}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec, err := ask(t, sends(data(delta("a"))+c.event+"\n\n"+data(done)), openai.Options{Key: "sk-secret"})
			e := providerError(t, err, c.status, c.code)
			if e.Message != c.message || string(e.Body) != c.body {
				t.Errorf("%q %s; want %q %s", e.Message, e.Body, c.message, c.body)
			}
			if rec.text.String() != "a" {
				t.Errorf("text %q", rec.text.String())
			}
		})
	}
}

func TestCuts(t *testing.T) {
	stream := data(opening, delta("Hel"), delta("lo"))
	cut := func(stream string, reset bool) (*recorder, error) {
		if !reset {
			return ask(t, cuts(stream, nil), openai.Options{})
		}
		through := newTaking(len(stream))
		return ask(t, cuts(stream, through), openai.Options{Transport: through})
	}
	for _, reset := range []bool{false, true} {
		for _, n := range []int{0, 1, len(stream) / 2, len(stream)} {
			if n == 0 && reset { // nothing to read
				continue
			}
			_, err := cut(stream[:n], reset)
			providerError(t, err, http.StatusBadGateway, "upstream_truncated")
		}
		rec, err := cut(stream+data(finished), reset)
		if err != nil || rec.text.String() != "Hello" {
			t.Errorf("after the finish: %v, %q", err, rec.log)
		}
	}
}

func TestWholeAnswers(t *testing.T) {
	const info = `"id":"c","object":"chat.completion","created":1,"model":"m"`
	for _, c := range []struct {
		name, media, body  string
		text, finish, code string
	}{
		{
			name: "text",
			body: `{` + info + `,"choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null},` +
				`"logprobs":null,"finish_reason":"stop"}],"usage":{"n":1}}`,
			text: "Hi", finish: `finish stop {"n":1} true`,
		},
		{
			name: "said to be a stream", media: "text/event-stream",
			body: `{` + info + `,"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}`,
			text: "Hi", finish: `finish stop  true`,
		},
		{
			name: "text completion",
			body: `{"id":"c","object":"text_completion","choices":[{"index":0,"text":"Hi","finish_reason":"length"}]}`,
			text: "Hi", finish: "finish length  true",
		},
		{
			name: "several choices, and unknown members",
			body: `{` + info + `,"x":1.0,"choices":[{"index":1,"text":"No"},{"index":0,"message":{"content":"Hi"}}]}`,
			text: "Hi", finish: "finish   true",
		},
		{
			name: "parts",
			body: `{` + info + `,"choices":[{"message":{"content":[{"type":"thinking","thinking":[]},` +
				`{"type":"text","text":"Hi"}]},"finish_reason":"stop"}]}`,
			text: "Hi", finish: "finish stop  true",
		},
		{
			name: "tool calls",
			body: `{` + info + `,"choices":[{"index":0,"message":{"role":"assistant","content":null,` +
				`"tool_calls":[{"id":"x"},{"id":"y"}]},"finish_reason":"tool_calls"}]}`,
			finish: "finish tool_calls  true",
		},
		{name: "error", body: `{"error":{"message":"boom","code":"c"}}`, code: "c"},
		{name: "no choices", body: `{"hello":1}`, code: "upstream_invalid"},
		{name: "half", body: `{"choices":[`, code: "upstream_invalid"},
		{name: "NDJSON", body: `{"response":"a"}` + "\n" + `{"response":"b"}`, code: "upstream_invalid"},
		{name: "web page", media: "text/html", body: `<html>`, code: "upstream_invalid"},
		{name: "too long", body: `{"x":"` + strings.Repeat("x", 10_000), code: "upstream_invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec, err := ask(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if c.media != "" {
					w.Header().Set("Content-Type", c.media)
				}
				_, _ = io.WriteString(w, " "+c.body)
			}, openai.Options{MaxEvent: 5000})
			if c.code != "" {
				providerError(t, err, http.StatusBadGateway, c.code)
				if len(rec.log) > 0 {
					t.Errorf("accepted: %q", rec.log)
				}
				return
			}
			want := []string{"whole " + c.body + " [" + c.text + "]", c.finish}
			if c.media != "" {
				want = append([]string{"accepted"}, want...)
			}
			if err != nil || !slices.Equal(rec.log, want) {
				t.Errorf("%v\n got %q\nwant %q", err, rec.log, want)
			}
		})
	}
}

// FuzzChunk checks that chunks that became text equal the chunks that the encoder makes from that text and the
// constant members.
func FuzzChunk(f *testing.F) {
	for _, s := range []string{
		delta("é\u2028\"\\"), opening, finished, usage,
		chat(`{"index":0,"delta":{"content":"a","tool_calls":[]},"stop_reason":null}`),
		chat(`{"index":0,"delta":{"content":"\ud83e"}}`), chat(`{"index":1,"delta":{"content":"b"}}`),
		`{"choices":[{"text":"a","index":0}]}`, `{"error":"x"}`, `{"choices":[{}],"errors":[1]}`,
		`{"choices":[{}],"type":"error"}`, `{"choices":[{}],"object":"error"}`, `{"choices":[{}],"error":{"message":"x"}}`, `{"choices":[{}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		rec := &recorder{}
		err := openai.TakeChunk(rec, raw)
		var in map[string]any
		if json.Unmarshal(bytes.ToValidUTF8(raw, []byte("\ufffd")), &in) != nil {
			if err == nil {
				t.Fatalf("took %q", raw)
			}
			return
		}
		var line bytes.Buffer
		if json.Compact(&line, bytes.ToValidUTF8(raw, []byte("\ufffd"))) == nil && openai.MissesFault(line.Bytes()) {
			t.Fatalf("an error is taken for a chunk: %s", raw)
		}
		for _, entry := range rec.log {
			if s, ok := strings.CutPrefix(entry, "chunk "); ok {
				line, _, _ := strings.Cut(s, " [")
				if strings.ContainsAny(line, "\r\n") {
					t.Fatalf("more than a line: %q", entry)
				}
			}
			if text, ok := strings.CutPrefix(entry, "text "); ok && text != "\ufffd" {
				regenerate(t, in, text, rec)
			}
		}
	})
}

// regenerate compares a chunk with what the encoder makes of its text. null and absent are the same, as are [] and no
// tool calls.
func regenerate(t *testing.T, in map[string]any, text string, rec *recorder) {
	t.Helper()
	choices, _ := in["choices"].([]any)
	if len(choices) != 1 {
		t.Fatalf("text %q of %d choices", text, len(choices))
	}
	choice, _ := choices[0].(map[string]any)
	got, _ := choice["text"].(string)
	if delta, ok := choice["delta"].(map[string]any); ok {
		if s, ok := delta["content"].(string); ok {
			got = s
		}
		for name, v := range delta {
			if empty, isList := v.([]any); name == "content" || v == nil || name == "role" && v == "assistant" ||
				name == "tool_calls" && isList && len(empty) == 0 {
				continue
			}
			t.Fatalf("lost %s of the delta: %v", name, v)
		}
	}
	if strings.TrimSuffix(got, "\ufffd") != strings.TrimSuffix(text, "\ufffd") {
		t.Fatalf("text %q, want %q", text, got)
	}
	for name, v := range choice {
		switch name {
		case "index":
			if n, _ := v.(float64); n != 0 {
				t.Fatalf("index %v", v)
			}
		case "text", "delta", "finish_reason":
		default:
			if v != nil {
				t.Fatalf("lost %s of the choice: %v", name, v)
			}
		}
	}
	for name, v := range in {
		want := any(nil)
		switch name {
		case "choices", "obfuscation", "usage", "created", "object":
			continue
		case "id":
			want = rec.info.ID
		case "model":
			want = rec.info.Model
		case "system_fingerprint":
			want = rec.info.SystemFingerprint
		case "service_tier":
			want = rec.info.ServiceTier
		}
		if v != nil && fmt.Sprint(v) != fmt.Sprint(want) {
			t.Fatalf("%s: %v, want %v", name, v, want)
		}
	}
}
