package openai_test

import (
	"encoding/json"
	"testing"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/hub"
)

var info = hub.CompletionInfo{ID: "cmp_1", Created: 1700000000, Model: "m"}

var (
	chatDoor = hub.CompletionMeta{Kind: hub.ChatCompletion}
	textDoor = hub.CompletionMeta{Kind: hub.TextCompletion}
	fimDoor  = hub.CompletionMeta{Kind: hub.TextCompletion, FIM: true}
)

func withUsage(meta hub.CompletionMeta) hub.CompletionMeta {
	meta.IncludeUsage = true
	return meta
}

func TestEncoder(t *testing.T) {
	const (
		chat = `{"id":"cmp_1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[`
		text = `{"id":"cmp_1","object":"text_completion","created":1700000000,"model":"m","choices":[`
	)
	for _, c := range []struct {
		name string
		meta hub.CompletionMeta
		do   func(e *openai.Encoder) []byte
		want string
	}{
		{
			"chat role", chatDoor, role,
			chat + `{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}`,
		},
		{
			"chat text", chatDoor, hello,
			chat + `{"index":0,"delta":{"content":"a\n\"é"},"logprobs":null,"finish_reason":null}]}`,
		},
		{"chat finish", chatDoor, length, chat + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]}`},
		{"chat usage, unasked", chatDoor, used, ``},
		{
			"chat role, usage", withUsage(chatDoor), role,
			chat + `{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}`,
		},
		{
			"chat text, usage", withUsage(chatDoor), hello,
			chat + `{"index":0,"delta":{"content":"a\n\"é"},"logprobs":null,"finish_reason":null}],"usage":null}`,
		},
		{
			"chat finish, usage", withUsage(chatDoor), length,
			chat + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}],"usage":null}`,
		},
		{"chat usage", withUsage(chatDoor), used, chat + `],"usage":{"total_tokens":3}}`},
		{"text role", textDoor, role, ``},
		{"text text", textDoor, hello, text + `{"text":"a\n\"é","index":0,"logprobs":null,"finish_reason":null}]}`},
		{
			"text finish", withUsage(textDoor), length,
			text + `{"text":"","index":0,"logprobs":null,"finish_reason":"length"}],"usage":null}`,
		},
		{"text usage", withUsage(textDoor), used, text + `],"usage":{"total_tokens":3}}`},
		{"fim role", fimDoor, role, ``},
		{
			"fim text", fimDoor, hello,
			chat + `{"index":0,"delta":{"content":"a\n\"é"},"logprobs":null,"finish_reason":null}]}`,
		},
		{"fim finish", fimDoor, length, chat + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]}`},
		{
			"no reason", chatDoor, func(e *openai.Encoder) []byte { return e.AppendFinish(nil, "") },
			chat + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}`,
		},
	} {
		e := openai.NewEncoder(c.meta, info)
		if got := string(c.do(&e)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func role(e *openai.Encoder) []byte   { return e.AppendRole(nil) }
func hello(e *openai.Encoder) []byte  { return e.AppendText(nil, []byte("a\n\"é")) }
func length(e *openai.Encoder) []byte { return e.AppendFinish(nil, "length") }
func used(e *openai.Encoder) []byte   { return e.AppendUsage(nil, []byte(`{"total_tokens":3}`)) }

func TestEncoderConstants(t *testing.T) {
	e := openai.NewEncoder(
		hub.CompletionMeta{Kind: hub.ChatCompletion, Model: "asked"},
		hub.CompletionInfo{ID: `"`, SystemFingerprint: "fp", ServiceTier: "default"},
	)
	want := `{"id":"\"","object":"chat.completion.chunk","created":0,"model":"asked",` +
		`"service_tier":"default","system_fingerprint":"fp",` +
		`"choices":[{"index":0,"delta":{"content":"x"},"logprobs":null,"finish_reason":null}]}`
	if got := string(e.AppendText(nil, []byte("x"))); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestEncoderChunk(t *testing.T) {
	const (
		shared = `{"id":"cmp_1","created":1700000000,"model":"m",`
		asText = `"x":1,"object":"text_completion",` +
			`"choices":[{"index":1,"text":"a","logprobs":{"tokens":["a"]}}],"usage":null}`
		asDelta = `"x":1,"object":"chat.completion.chunk",` +
			`"choices":[{"index":1,"delta":{"content":"a"},"logprobs":{"tokens":["a"]}}],"usage":null}`
		calls = `"choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0}]}}],"usage":{"n":1}}`
		own   = `{"choices":[],"model":"m","created":1700000000,"id":"cmp_1"}`
	)
	for _, c := range []struct {
		name      string
		meta      hub.CompletionMeta
		raw, want string
	}{
		{"chat", chatDoor, "{" + calls, shared + calls},
		{"chat, usage asked", withUsage(chatDoor), "{" + calls, shared + calls},
		{"text", withUsage(textDoor), "{" + asText, shared + asText},
		{"fim", withUsage(fimDoor), "{" + asDelta, shared + asDelta},
		{"text, answered as chat", withUsage(textDoor), "{" + asDelta, shared + asText},
		{"fim, answered as text", withUsage(fimDoor), "{" + asText, shared + asDelta},
		{"no usage, unasked", chatDoor, `{"usage":null,"choices":[]}`, shared + `"choices":[]}`},
		{
			"text, answered with tool calls", textDoor, "{" + calls,
			shared + `"choices":[{"index":0,"tool_calls":[{"index":0}],"text":""}],"usage":{"n":1}}`,
		},
		{"no choices", textDoor, `{"choices":[],"timings":{}}`, shared + `"choices":[],"timings":{}}`},
		{"the same id, time and model", chatDoor, own, own},
		{
			"others", chatDoor, `{"id":"up","id":"twice","created":1.5,"model":null,"choices":[]}`,
			shared + `"choices":[]}`,
		},
	} {
		e := openai.NewEncoder(c.meta, info)
		if got := string(e.AppendChunk(nil, []byte(c.raw))); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestWhole: an answer that the upstream did not stream is passed on unchanged, moved to the path's format, or made one
// chunk.
func TestWhole(t *testing.T) {
	const (
		chat = `{"id":"up","object":"chat.completion","created":1,"model":"m2","choices":[{"index":0,"message":` +
			`{"role":"assistant","content":"a","tool_calls":[{"id":"x"},{"id":"y"}]},"finish_reason":"stop"}],"usage":{"n":1}}`
		text = `{"id":"up","object":"text_completion","choices":[{"index":0,"text":"a","finish_reason":"stop"}]}`
		head = `{"id":"cmp_1","created":1700000000,"model":"m",`
	)
	for _, c := range []struct {
		name             string
		meta             hub.CompletionMeta
		raw, whole, line string
	}{
		{
			"chat", chatDoor, chat, chat, head + `"object":"chat.completion.chunk","choices":[{"index":0,"delta":` +
				`{"role":"assistant","content":"a","tool_calls":[{"index":0,"id":"x"},{"index":1,"id":"y"}]},` +
				`"finish_reason":"stop"}]}`,
		},
		{
			"text", textDoor, text, text,
			head + `"object":"text_completion","choices":[{"index":0,"text":"a","finish_reason":"stop"}]}`,
		},
		{
			"text, answered as chat", textDoor,
			`{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"a"}}]}`,
			`{"object":"text_completion","choices":[{"index":0,"text":"a"}]}`,
			head + `"object":"text_completion","choices":[{"index":0,"text":"a"}]}`,
		},
		{
			"fim, answered as text", fimDoor, text,
			`{"id":"up","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"a"},` +
				`"finish_reason":"stop"}]}`,
			head + `"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}`,
		},
	} {
		e := openai.NewEncoder(c.meta, info)
		if got := string(openai.AppendAnswer(nil, []byte(c.raw), &c.meta)); got != c.whole {
			t.Errorf("%s, whole:\n got %s\nwant %s", c.name, got, c.whole)
		}
		if got := string(e.AppendWhole(nil, []byte(c.raw))); got != c.line {
			t.Errorf("%s, as a chunk:\n got %s\nwant %s", c.name, got, c.line)
		}
	}
}

func TestEncoderDoesNotAllocate(t *testing.T) {
	e := openai.NewEncoder(withUsage(chatDoor), info)
	dst, text, usage := make([]byte, 0, 4096), []byte("some \"text\" of a token\n"), []byte(`{"n":1}`)
	if n := testing.AllocsPerRun(100, func() {
		dst = e.AppendRole(dst[:0])
		dst = e.AppendText(dst, text)
		dst = e.AppendChunk(dst, usage)
		dst = e.AppendFinish(dst, "stop")
		dst = e.AppendUsage(dst, usage)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppendText(b *testing.B) {
	e := openai.NewEncoder(chatDoor, info)
	dst, text := make([]byte, 0, 4096), []byte(" return")
	b.ReportAllocs()
	for b.Loop() {
		dst = e.AppendText(dst[:0], text)
	}
}

func TestErrors(t *testing.T) {
	const made = `{"error":{"message":"m\n","type":"t","param":null,"code":"c"}}`
	for body, want := range map[string]string{
		``:                                   made,
		`null`:                               made,
		`"text"`:                             made,
		`[1]`:                                made,
		`{}`:                                 made,
		`{"error":`:                          made,
		"{\"error\":{\"message\":\"\xff\"}}": made,
		`{"error":{"message":"own","x":9007199254740993}}`:    `{"error":{"message":"own","x":9007199254740993}}`,
		"{\n \"error\": {\"message\": \"own\"},\n \"y\": 1 }": `{"error":{"message":"own"},"y":1}`,
		`{"message":"own"}`: `{"error":{"message":"own"}}`,
	} {
		if got := string(openai.AppendErrorBody(nil, json.RawMessage(body), "m\n", "t", "", "c")); got != want {
			t.Errorf("%q:\n got %s\nwant %s", body, got, want)
		}
	}
	want := `{"error":{"message":"m","type":null,"param":"messages[0].role","code":null}}`
	if got := string(openai.AppendError(nil, "m", "", "messages[0].role", "")); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
