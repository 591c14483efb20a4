package handlers_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/openai"
)

// upstreamScript is how a scripted upstream answers: its stream, its whole answer, or a refusal.
type upstreamScript struct {
	name   string
	path   string   // "/chat/completions"
	ask    string   // members of the request, with a comma in front
	blocks []string // of the stream; a block without a field name is data
	whole  string
	zipped bool
	status int // of a refusal, whose body is whole
	header string

	// The differences that the client sees through Duckwire; "": none.
	err   string // in place of what is no error in OpenAI's shape
	oneID bool   // all chunks have the first one's id
	usage string // the usage that is seen, each followed by a space; "": the upstream's
}

func (u upstreamScript) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ Stream bool }
	_ = json.NewDecoder(r.Body).Decode(&body)
	if name, value, ok := strings.Cut(u.header, ": "); ok {
		w.Header().Set(name, value)
	}
	out := io.Writer(w)
	if u.zipped {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		out = z
	}
	switch {
	case u.status != 0:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(u.status)
		_, _ = io.WriteString(out, u.whole)
	case body.Stream:
		w.Header().Set("Content-Type", "text/event-stream")
		for _, b := range u.blocks {
			if !strings.Contains(b, "data:") && !strings.HasPrefix(b, ":") {
				b = "data: " + b
			}
			_, _ = io.WriteString(out, b+"\n\n")
		}
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(out, u.whole)
	}
}

// seen is what a client sees of an answer.
type seen struct {
	status     int
	retryAfter string
	ids        int            // how many different ids, times and models the chunks have
	text       map[int]string // by choice
	others     map[int]string // all other members of the deltas and choices, in order
	finish     map[int]string
	usage      string
	done       bool
	err        string // the words
	whole      string // an answer that is not streamed
}

// look requests a completion, and reads the answer as a client does that knows every dialect.
func look(t *testing.T, client *http.Client, url, credential, body string) (s seen) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+credential)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := io.Reader(resp.Body)
	if resp.Header.Get("Content-Encoding") == "gzip" {
		if in, err = gzip.NewReader(in); err != nil {
			t.Fatal(err)
		}
	}
	s = seen{
		status: resp.StatusCode, retryAfter: resp.Header.Get("Retry-After"), text: map[int]string{}, others: map[int]string{},
		finish: map[int]string{},
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		raw, _ := io.ReadAll(in)
		s.whole = string(raw)
		if resp.StatusCode != http.StatusOK {
			s.err, s.whole = wordsOf(raw), ""
		}
		return s
	}
	ids := map[string]bool{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	name := ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case field == "event":
			name = value
		case field == "" && value == "":
			name = ""
		case field == "data" && value == "[DONE]":
			s.done = true
		case field == "data" && (name == "" || name == "error"):
			s.chunk(value, ids)
		}
	}
	s.ids = len(ids)
	return s
}

func wordsOf(raw []byte) string {
	var body struct {
		Error   any
		Message string
	}
	if json.Unmarshal(raw, &body) != nil {
		return string(raw)
	}
	switch e := body.Error.(type) {
	case string:
		return e
	case map[string]any:
		return fmt.Sprint(e["message"])
	}
	return body.Message
}

func (s *seen) chunk(data string, ids map[string]bool) {
	var c struct {
		ID, Model string
		Created   float64
		Error     json.RawMessage
		Usage     json.RawMessage
		Choices   []map[string]json.RawMessage
	}
	if json.Unmarshal([]byte(data), &c) != nil || len(c.Error) > 0 && string(c.Error) != "null" || c.Choices == nil {
		s.err += wordsOf([]byte(data))
		return
	}
	ids[fmt.Sprint(c.ID, c.Model, c.Created)] = true
	if len(c.Usage) > 0 && string(c.Usage) != "null" {
		s.usage += string(c.Usage) + " "
	}
	for _, choice := range c.Choices {
		var index int
		_ = json.Unmarshal(choice["index"], &index)
		var text, finish string
		_ = json.Unmarshal(choice["text"], &text)
		_ = json.Unmarshal(choice["finish_reason"], &finish)
		var delta map[string]json.RawMessage
		_ = json.Unmarshal(choice["delta"], &delta)
		if json.Unmarshal(delta["content"], &text) == nil {
			delete(delta, "content")
		}
		s.text[index] += text
		s.finish[index] += finish
		for name, value := range delta {
			if name != "role" && string(value) != "null" && string(value) != "[]" {
				s.others[index] += name + string(value)
			}
		}
		for name, value := range choice {
			switch name {
			case "index", "text", "finish_reason", "delta":
			default:
				if string(value) != "null" {
					s.others[index] += name + string(value)
				}
			}
		}
	}
}

func upDelta(delta string) string {
	return `{"id":"up-1","object":"chat.completion.chunk","created":5,"model":"m-2","choices":[{"index":0,"delta":` + delta +
		`,"finish_reason":null}]}`
}

func upEnd(reason, more string) string {
	return `{"id":"up-1","object":"chat.completion.chunk","created":5,"model":"m-2","choices":[{"index":0,"delta":{},` +
		`"finish_reason":"` + reason + `"}]` + more + `}`
}

// transparency has one row for each quirk of an upstream.
func transparency() []upstreamScript {
	const whole = `{"id":"up-1","object":"chat.completion","created":5,"model":"m-2","choices":[{"index":0,"message":` +
		`{"role":"assistant","content":"Hi \ud83e\udd86","refusal":null,"annotations":[]},"logprobs":null,` +
		`"finish_reason":"stop"}],"usage":{"total_tokens":3},"x_vendor":{"a":1.50}}`
	const done = "[DONE]"
	role, hi, end := upDelta(`{"role":"assistant","content":""}`), upDelta(`{"content":"Hi"}`), upEnd("stop", "")
	call := func(more string) string { return upDelta(`{"tool_calls":[` + more + `]}`) }
	return []upstreamScript{
		{name: "plain", blocks: []string{role, hi, upDelta(`{"content":" there"}`), end, done}, whole: whole},
		{name: "no role, no [DONE]", blocks: []string{hi, end}, whole: `{"choices":[{"message":{"content":"x"}}]}`},
		{name: "comments and named events", blocks: []string{": hi", "event: ping\ndata: 1", hi, "event: beat\ndata: {}", end, done}},
		{name: "gzip", blocks: []string{role, hi, end, done}, whole: whole, zipped: true},
		{name: "tool calls", whole: whole, blocks: []string{
			role, call(`{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}`),
			call(`{"index":0,"function":{"arguments":"{}"}}`), call(`{"index":1,"id":"c2","function":{"name":"g","arguments":"{}"}}`),
			upEnd("tool_calls", ""), done,
		}},
		{name: "tool calls without an index, with empty strings", blocks: []string{
			call(`{"id":"c1","function":{"name":"f","arguments":""}}`), call(`{"id":"","function":{"name":"","arguments":"{}"}}`),
			upEnd("tool_calls", ""), done,
		}},
		{name: "a chunk with another id", oneID: true, blocks: []string{
			hi, strings.ReplaceAll(call(`{"index":0,"id":"c"}`), "up-1", "up-2"), strings.ReplaceAll(end, `"created":5`, `"created":6`), done,
		}},
		{name: "reasoning, and half a pair", blocks: []string{
			upDelta(`{"reasoning_content":"h\ud83d"}`), upDelta(`{"reasoning_content":"\ude00m"}`), hi, end, done,
		}},
		{name: "parts", blocks: []string{upDelta(`{"content":[{"type":"thinking","thinking":[]}]}`), hi, end, done}},
		{name: "log probabilities", ask: `,"logprobs":true`, blocks: []string{
			strings.Replace(hi, `"finish_reason"`, `"logprobs":{"content":[{"token":"Hi"}]},"finish_reason"`, 1), end, done,
		}},
		{name: "several choices", ask: `,"n":2`, blocks: []string{
			hi, strings.Replace(hi, `"index":0`, `"index":1`, 1), end, strings.Replace(end, `"index":0`, `"index":1`, 1), done,
		}},
		{name: "usage with the finish, unasked", blocks: []string{hi, upEnd("stop", `,"usage":{"n":1}`), done}},
		{name: "usage with the finish, asked for", ask: `,"stream_options":{"include_usage":true}`, blocks: []string{
			hi, upEnd("length", `,"usage":{"n":1}`), done,
		}},
		{name: "usage at the end, asked for", ask: `,"stream_options":{"include_usage":true}`, blocks: []string{
			hi, end, `{"id":"up-1","object":"chat.completion.chunk","created":5,"model":"m-2","choices":[],"usage":{"n":1}}`, done,
		}},
		{name: "usage twice", ask: `,"stream_options":{"include_usage":true}`, usage: `{"n":1} `, blocks: []string{
			hi, upEnd("stop", `,"usage":{"n":1}`),
			`{"id":"up-1","object":"chat.completion.chunk","created":5,"model":"m-2","choices":[],"usage":{"n":1}}`, done,
		}},
		{name: "text after the finish", blocks: []string{upEnd("stop", ""), hi, done}},
		{name: "an error within", blocks: []string{hi, `{"error":{"message":"boom","code":"c"}}`}},
		{name: "an odd error within, and [DONE]", err: "boom", blocks: []string{hi, `{"object":"error","message":"boom","code":500}`, done}},
		{name: "400", status: 400, whole: `{"error":{"message":"boom","type":"t","param":"p","code":"c"}}`},
		{name: "403", status: 403, whole: `{"error":{"message":"flagged"}}`},
		{name: "404 in another shape", status: 404, err: "no such model", whole: `{"detail":"no such model"}`},
		{name: "422", status: 422, err: "body.x: extra", whole: `{"detail":[{"loc":["body","x"],"msg":"extra"}]}`},
		{name: "429", status: 429, header: "Retry-After: 45", whole: `{"error":{"message":"slow down"}}`},
		{name: "500", status: 500, whole: `{"error":"boom"}`},
		{
			name: "text", path: "/completions",
			blocks: []string{
				`{"id":"t","object":"text_completion","created":1,"model":"m","choices":[{"text":"a","index":0,"logprobs":null,"finish_reason":null}]}`,
				`{"id":"t","object":"text_completion","created":1,"model":"m","choices":[{"text":"b","index":0,"logprobs":null,"finish_reason":"stop"}]}`,
				done,
			},
			whole: `{"id":"t","object":"text_completion","choices":[{"text":"ab","index":0,"logprobs":null,"finish_reason":"stop"}],"x":1}`,
		},
		{
			name: "fill in the middle", path: "/fim/completions", ask: `,"suffix":"s"`,
			blocks: []string{hi, end, done}, whole: whole,
		},
	}
}

// TestTransparency: what a client sees through Duckwire is what it sees directly, except for the differences in the
// table.
func TestTransparency(t *testing.T) {
	for _, u := range transparency() {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			if u.path == "" {
				u.path = "/chat/completions"
			}
			up := httptest.NewServer(u)
			defer up.Close()
			provider, err := openai.New(openai.Options{BaseURL: up.URL + "/v1", RetryWait: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer provider.Close()
			s := startServer(t, provider, hub.Limits{}, nil)
			for _, stream := range []bool{true, false} {
				if !stream && u.whole == "" {
					continue
				}
				body := fmt.Sprintf(`{"model":"m","prompt":"p","messages":[{"role":"user","content":"hi"}],"stream":%t%s}`, stream, u.ask)
				want := look(t, up.Client(), up.URL+"/v1"+u.path, "", body)
				got := look(t, s.plain, s.URL+"/v1"+u.path, token(t, "ada", "*=*"), body)
				if u.oneID {
					want.ids = 1
				}
				if u.err != "" {
					want.err = u.err
				}
				if u.usage != "" {
					want.usage = u.usage
				}
				if got.err != "" {
					want.done = false // [DONE] comes only after success
				} else if stream && u.status == 0 {
					want.done = true
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("stream: %t\n got %+v\nwant %+v", stream, got, want)
				}
			}
		})
	}
}
