package openai_test

import (
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/provider/openai"
)

// picky is an upstream that refuses some requests. It records what it was asked.
type picky struct {
	mu     sync.Mutex
	asked  []string // path and body
	refuse func(path string, body map[string]any) (status int, words string)
	good   http.HandlerFunc // nil: a short stream
}

func (u *picky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	var body map[string]any
	_ = json.Unmarshal(raw, &body)
	u.mu.Lock()
	u.asked = append(u.asked, r.URL.Path+" "+string(raw))
	u.mu.Unlock()
	if status, words := u.refuse(r.URL.Path, body); status != 0 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, words)
		return
	}
	switch {
	case u.good != nil:
		u.good(w, r)
	case body["stream"] == true:
		sends(data(delta("a"), finished, done))(w, r)
	default:
		_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"whole"},"finish_reason":"stop"}]}`)
	}
}

func (u *picky) requests() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.asked)
}

// TestLearns: what an upstream refuses, and the client has not asked for, is asked for in another way, and remembered.
func TestLearns(t *testing.T) {
	const (
		forbidden = `{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}`
		unknown   = `{"error":{"message":"unknown url"}}`
	)
	for _, c := range []struct {
		name    string
		o       openai.Options
		kind    hub.CompletionKind
		body    string
		fim     bool
		refuse  func(path string, body map[string]any) (int, string)
		text    string
		first   []string // what the first request leads to; each is a part of a request
		later   string   // what the second request leads to
		learned string
	}{
		{
			name: "stream_options, with 422", kind: hub.ChatCompletion, body: `{"model":"m"}`, text: "a",
			refuse: func(_ string, body map[string]any) (int, string) {
				if body["stream_options"] != nil {
					return 422, forbidden
				}
				return 0, ""
			},
			first: []string{"stream_options", `{"model":"m","stream":true}`}, later: `{"model":"m","stream":true}`,
			learned: "refuses stream_options",
		},
		{
			name: "streaming", kind: hub.ChatCompletion, body: `{"model":"m","stream":false}`, text: "whole",
			refuse: func(_ string, body map[string]any) (int, string) {
				if body["stream"] == true {
					return 400, `{"error":{"message":"Your organization must be verified to stream this model.","param":"stream"}}`
				}
				return 0, ""
			},
			first: []string{`"stream":true`, `{"model":"m","stream":false}`}, later: `{"model":"m","stream":false}`,
			learned: `refuses to stream the answers of "m"`,
		},
		{
			name: "streaming of several answers", kind: hub.TextCompletion, body: `{"prompt":"x","best_of":2}`, text: "whole",
			refuse: func(_ string, body map[string]any) (int, string) {
				if body["stream"] == true {
					return 400, `{"error":{"message":"You cannot stream with best_of > n"}}`
				}
				return 0, ""
			},
			first: []string{`"stream":true`, `"stream":false`}, later: `"stream":false`,
		},
		{
			name: "the path of completions", kind: hub.TextCompletion, body: `{"model":"m","prompt":"P","suffix":"S"}`, text: "a",
			refuse: func(path string, _ map[string]any) (int, string) {
				if path != "/v1/fim/completions" {
					return 404, unknown
				}
				return 0, ""
			},
			first: []string{"/v1/completions", "/v1/fim/completions"}, later: "/v1/fim/completions",
			learned: "completes text at /fim/completions",
		},
		{
			name: "the path, without a suffix", kind: hub.TextCompletion, fim: true, body: `{"model":"m","prompt":"P"}`, text: "a",
			refuse: func(path string, _ map[string]any) (int, string) {
				if path != "/v1/fim/completions" {
					return 405, ""
				}
				return 0, ""
			},
			first: []string{"/v1/completions", "/v1/fim/completions"}, later: "/v1/fim/completions",
			learned: "completes text at /fim/completions",
		},
		{
			name: "many stop sequences", kind: hub.TextCompletion, text: "a", o: openai.Options{FIM: openai.Qwen},
			body: `{"model":"m","prompt":"P","suffix":"S","stop":["x"]}`,
			refuse: func(_ string, body map[string]any) (int, string) {
				if stop, _ := body["stop"].([]any); len(stop) > 4 {
					return 400, `{"error":{"message":"'stop': maximum 4 stop sequences","param":"stop"}}`
				}
				return 0, ""
			},
			first: []string{`<|im_end|>`, `"stop":["x","<|endoftext|>","<|fim_pad|>","<|file_sep|>"]`},
			later: `"stop":["x","<|endoftext|>","<|fim_pad|>","<|file_sep|>"]`, learned: "refuses many stop sequences",
		},
		{
			name: "suffix", kind: hub.TextCompletion, body: `{"model":"Qwen/Qwen2.5-Coder-7B","prompt":"P","suffix":"S"}`, text: "a",
			refuse: func(_ string, body map[string]any) (int, string) {
				if body["suffix"] != nil {
					return 400, `{"object":"error","message":"suffix is not currently supported","code":400}`
				}
				return 0, ""
			},
			first:   []string{`"suffix":"S"`, `"prompt":"<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>"`},
			later:   `"prompt":"<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>"`,
			learned: "refuses suffix",
		},
		{
			name: "all of them", kind: hub.TextCompletion, fim: true, text: "whole",
			body: `{"model":"starcoder2","prompt":"P","suffix":"S"}`,
			refuse: func(path string, body map[string]any) (int, string) {
				switch {
				case path != "/v1/fim/completions" && body["suffix"] != nil:
					return 404, unknown
				case body["stream_options"] != nil:
					return 400, `{"message":"stream_options?"}`
				case body["suffix"] != nil:
					return 400, `{"message":"suffix?"}`
				case body["stream"] == true:
					return 400, `{"message":"streaming is not supported"}`
				}
				return 0, ""
			},
			first: []string{
				"/v1/completions", "stream_options", `"suffix"`, `"stream":true`, `"<fim_prefix>P<fim_suffix>S<fim_middle>"`,
			},
			later: `"stream":false`, learned: "refuses stream_options",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := &picky{refuse: c.refuse}
			c.o.BaseURL = upstream(t, u.ServeHTTP)
			p := newProvider(t, c.o)
			req := request(t, c.kind, c.body)
			req.FIM = c.fim
			for round, want := range [][]string{c.first, append(slices.Clone(c.first), c.later)} {
				rec := &recorder{}
				if round == 1 && c.learned == "" {
					break
				}
				if err := p.Complete(t.Context(), req, rec); err != nil || rec.text.String() != c.text {
					t.Fatalf("%v, %q after %q", err, rec.text.String(), u.requests())
				}
				asked := u.requests()
				if len(asked) != len(want) {
					t.Fatalf("asked %q; want %q", asked, want)
				}
				for i := range want {
					if !strings.Contains(asked[i], want[i]) {
						t.Errorf("request %d: %s; want %s", i, asked[i], want[i])
					}
				}
			}
			if got := strings.Join(p.Learned(), "\n"); !strings.Contains(got, c.learned) || c.learned == "" && got != "" {
				t.Errorf("learned %q; want %q", got, c.learned)
			}
		})
	}
}

// TestRefusalsStay: what the client itself asked for is refused with the upstream's words.
func TestRefusalsStay(t *testing.T) {
	for _, c := range []struct {
		name, body string
		kind       hub.CompletionKind
		status     int
		words      string
		asked      int
	}{
		{"a stream", `{"stream":true}`, hub.ChatCompletion, 400, "must be verified to stream", 1},
		{"no model", `{"prompt":"x","suffix":"y"}`, hub.TextCompletion, 404, "the model does not exist", 1},
		{"no path at all", `{"prompt":"x","suffix":"y"}`, hub.TextCompletion, 404, "nothing here", 2},
		{"suffix without a template", `{"model":"x","prompt":"x","suffix":"y"}`, hub.TextCompletion, 400, "no suffix", 1},
		{"something else", `{}`, hub.ChatCompletion, 422, "temperature", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := &picky{refuse: func(string, map[string]any) (int, string) { return c.status, `{"error":"` + c.words + `"}` }}
			p := newProvider(t, openai.Options{BaseURL: upstream(t, u.ServeHTTP)})
			err := p.Complete(t.Context(), request(t, c.kind, c.body), &recorder{})
			if e := providerError(t, err, c.status, "upstream_error"); e.Message != c.words || len(u.requests()) != c.asked {
				t.Errorf("%q after %q", e.Message, u.requests())
			}
			if learned := p.Learned(); len(learned) > 0 {
				t.Errorf("learned %q", learned)
			}
		})
	}
}

func TestDialects(t *testing.T) {
	for name, want := range map[openai.DialectName]string{
		"openai":  `/v1/completions {"model":"qwen","prompt":"P","stream":true,"stream_options":{"include_usage":true},"suffix":"S"}`,
		"mistral": `/v1/fim/completions {"model":"qwen","prompt":"P","stream":true,"suffix":"S"}`,
		"deepseek": `/beta/completions {"model":"qwen","prompt":"P","stream":true,"stream_options":{"include_usage":true},` +
			`"suffix":"S"}`,
		"vllm": `/v1/completions {"model":"qwen","prompt":"<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>",`,
	} {
		u := &picky{refuse: func(string, map[string]any) (int, string) { return 0, "" }}
		p := newProvider(t, openai.Options{BaseURL: upstream(t, u.ServeHTTP), Dialect: name})
		req := request(t, hub.TextCompletion, `{"model":"qwen","prompt":"P","suffix":"S"}`)
		if err := p.Complete(t.Context(), req, &recorder{}); err != nil || !strings.HasPrefix(u.requests()[0], want) {
			t.Errorf("%s: %v, %q; want %s", name, err, u.requests(), want)
		}
	}
}

// TestWholeRequest: a request that nobody reads before its end is passed on as it is.
func TestWholeRequest(t *testing.T) {
	u := &picky{refuse: func(string, map[string]any) (int, string) { return 0, "" }}
	p := newProvider(t, openai.Options{BaseURL: upstream(t, u.ServeHTTP)})
	for body, want := range map[string]string{
		`{"model":"m","stream":false,"stream_options":null}`: `{"model":"m","stream":false,"stream_options":null}`,
		`{"model":"m"}`: `{"model":"m"}`,
	} {
		req, rec := request(t, hub.ChatCompletion, body), &recorder{}
		req.Whole = true
		if err := p.Complete(t.Context(), req, rec); err != nil || rec.text.String() != "whole" {
			t.Fatalf("%v, %q", err, rec.log)
		}
		if asked := u.requests(); asked[len(asked)-1] != "/v1/chat/completions "+want {
			t.Errorf("asked %q; want %s", asked[len(asked)-1], want)
		}
	}
}

// TestTemplatesStreamByModel: that one model refuses to stream says nothing about another one's rendered prompts, whose
// markers can be cut off in a stream only.
func TestTemplatesStreamByModel(t *testing.T) {
	u := &picky{refuse: func(_ string, body map[string]any) (int, string) {
		if body["model"] == "whole" && body["stream"] == true {
			return http.StatusBadRequest, `{"error":{"message":"this model does not support streaming"}}`
		}
		return 0, ""
	}}
	p := newProvider(t, openai.Options{BaseURL: upstream(t, u.ServeHTTP), Dialect: "vllm"})
	if err := p.Complete(t.Context(), request(t, hub.ChatCompletion, `{"model":"whole"}`), &recorder{}); err != nil {
		t.Fatal(err)
	}
	req, rec := request(t, hub.TextCompletion, `{"model":"qwen","prompt":"P","suffix":"S"}`), &recorder{}
	req.Whole = true
	if err := p.Complete(t.Context(), req, rec); err != nil || rec.text.String() != "a" {
		t.Errorf("%v, %q after %q", err, rec.log, u.requests())
	}
}

// TestErrorShapes: the upstream's words and status reach the caller in every shape, refused and within an answer.
func TestErrorShapes(t *testing.T) {
	for _, c := range []struct {
		body, message string
		status        int // that the body tells, for errors within an answer
	}{
		{`{"error":{"message":"boom"}}`, "boom", 502},
		{`{"error":{"message":"boom","code":"429"}}`, "boom", 429},
		{`{"error":"boom"}`, "boom", 502},
		{`{"error":{"error":{"message":"boom"}}}`, "boom", 502},
		{`{"errors":[{"message":"boom"}]}`, "boom", 502},
		{`[{"error":{"code":400,"message":"boom","status":"INVALID_ARGUMENT"}}]`, "boom", 400},
		{`{"object":"error","message":"boom","code":404}`, "boom", 404},
		{`{"type":"error","error":{"type":"overloaded_error","message":"boom"}}`, "boom", 502},
		{`{"detail":"boom"}`, "boom", 502},
		{`{"detail":[{"loc":["body","n"],"msg":"boom"}]}`, "body.n: boom", 502},
		{`{"detail":{"message":"boom"}}`, "boom", 502},
		{`{"message":"boom","status_code":503}`, "boom", 503},
		{`{"msg":"boom"}`, "boom", 502},
		{`{"error_msg":"boom","error_code":429}`, "boom", 429},
	} {
		_, err := ask(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, c.body)
		}, openai.Options{})
		var e *hub.ProviderError
		if e, _ = err.(*hub.ProviderError); e == nil || e.Status != http.StatusTeapot || e.Message != c.message {
			t.Errorf("refused, %s: %+v", c.body, e)
		}
		_, err = ask(t, sends(data(delta("par"), c.body, done)), openai.Options{})
		if e, _ = err.(*hub.ProviderError); e == nil || e.Status != c.status || e.Message != c.message {
			t.Errorf("in a stream, %s: %+v", c.body, e)
		}
		_, err = ask(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.body) }, openai.Options{})
		if e, _ = err.(*hub.ProviderError); e == nil || e.Status != c.status || e.Message != c.message {
			t.Errorf("whole, %s: %+v", c.body, e)
		}
	}
	for _, c := range []struct{ stream, words string }{
		{data(delta("a"), `{"error":{"why":["disk","full"]}}`), `{"error":{"why":["disk","full"]}}`},
		{data(delta("a"), `oh no`), "oh no"},
		{data(delta("a"), chat(`{"index":0,"delta":{},"finish_reason":"error"}`), done), `finish reason "error"`},
		{data(delta("a")) + "event: error\ndata: out of memory\n\n", "out of memory"},
		{data(delta("a")) + "error: {\"message\":\"died\"}\n\n" + data(done), "died"},
		{data(delta("a"), `{"error":{}}`, done), `{"error":{}}`},
	} {
		_, err := ask(t, sends(c.stream), openai.Options{})
		if e, _ := err.(*hub.ProviderError); e == nil || !strings.Contains(e.Message, c.words) {
			t.Errorf("%s: %v; want %s", c.stream, err, c.words)
		}
	}
}

// TestNoFault: what looks like an error and is none.
func TestNoFault(t *testing.T) {
	for _, chunk := range []string{
		`{` + head + `,"error":null,"choices":[{"index":0,"delta":{"content":"a"}}]}`,
		`{` + head + `,"error":{},"errors":[],"error_msg":"","choices":[{"index":0,"delta":{"content":"a"}}]}`,
		`{` + head + `,"message":"fine","choices":[{"index":0,"delta":{"content":"a"}}]}`,
	} {
		rec, err := ask(t, sends(data(chunk, finished, done)), openai.Options{})
		if err != nil || rec.text.String() != "a" {
			t.Errorf("%s: %v, %q", chunk, err, rec.log)
		}
	}
}

func TestUnknownNamedEvents(t *testing.T) {
	stream := "event: heartbeat\ndata: still here\n\nevent: metrics\ndata: {\"tps\":5}\n\nevent: chunk\ndata: " + delta("a") + "\n\n"
	rec, err := ask(t, sends(stream+data(finished, done)), openai.Options{})
	if want := []string{"accepted", "text a", "finish stop  false"}; err != nil || !slices.Equal(rec.log, want) {
		t.Errorf("%v, %q", err, rec.log)
	}
}

// TestEarlyChunksWait: a chunk without choices before the first one with a choice waits for the id that all share.
func TestEarlyChunksWait(t *testing.T) {
	early := `{"id":"","choices":[],"prompt_filter_results":[]}`
	var order []string
	p := newProvider(t, openai.Options{BaseURL: upstream(t, sends(data(early, delta("a"), finished, done)))})
	w := &describing{recorder: &recorder{}, order: &order}
	if err := p.Complete(t.Context(), chatRequest(t), w); err != nil || !slices.Equal(order, []string{"describe", "chunk"}) {
		t.Errorf("%v, %q", err, order)
	}
}

type describing struct {
	*recorder
	order *[]string
}

func (d *describing) Describe(hub.CompletionInfo) { *d.order = append(*d.order, "describe") }
func (d *describing) Chunk(json.RawMessage, string) error {
	*d.order = append(*d.order, "chunk")
	return nil
}

func TestCompressedAnswers(t *testing.T) {
	for _, media := range []string{"text/event-stream", "application/json"} {
		var accepted string
		h := func(w http.ResponseWriter, r *http.Request) {
			accepted = r.Header.Get("Accept-Encoding")
			w.Header().Set("Content-Type", media)
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			if media == "application/json" {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(z, `{"error":"boom"}`)
				return
			}
			_, _ = io.WriteString(z, data(delta("a"), finished, done))
		}
		rec, err := ask(t, h, openai.Options{})
		if media == "application/json" {
			if e := providerError(t, err, 400, "upstream_error"); e.Message != "boom" {
				t.Errorf("%q", e.Message)
			}
		} else if err != nil || rec.text.String() != "a" {
			t.Errorf("%v, %q", err, rec.log)
		}
		if accepted != "identity" {
			t.Errorf("Accept-Encoding: %q", accepted)
		}
	}
	for _, bare := range []bool{true, false} {
		rec, err := ask(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "deflate")
			w.WriteHeader(http.StatusCreated)
			var z io.WriteCloser = zlib.NewWriter(w)
			if bare {
				z, _ = flate.NewWriter(w, 5)
			}
			_, _ = io.WriteString(z, data(delta("a"), finished, done))
			_ = z.Close()
		}, openai.Options{})
		if err != nil || rec.text.String() != "a" {
			t.Errorf("deflate, bare: %t: %v, %q", bare, err, rec.log)
		}
	}
	_, err := ask(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		sends("\x8b\x00")(w, r)
	}, openai.Options{})
	if e := providerError(t, err, http.StatusBadGateway, "upstream_invalid"); !strings.Contains(e.Message, `"br"`) {
		t.Errorf("%q", e.Message)
	}
}

// TestMarkersAreCut: no marker of a template reaches the client, also if the upstream ignores the stop sequences and
// sends the marker in pieces.
func TestMarkersAreCut(t *testing.T) {
	for _, c := range []struct {
		fim    openai.FIM
		pieces []string
		want   string
	}{
		{openai.Qwen, []string{"ok<|fim|", "x"}, "ok<|fim|x"},
		{openai.Qwen, []string{"ok<|fim", "_pad|>LEAK", "more"}, "ok"},
		{openai.Qwen, []string{"ok<", "|", "file_sep|>"}, "ok"},
		{openai.Qwen, []string{"a <", " b"}, "a < b"},
		{openai.Qwen, []string{"a <|"}, "a <|"},
		{openai.DeepSeek, []string{"ok<｜end▁of▁", "sentence｜>LEAK"}, "ok"},
		{openai.Suffix, []string{"ok<|fim_pad|>"}, "ok<|fim_pad|>"},
	} {
		var chunks []string
		for _, piece := range c.pieces {
			chunks = append(chunks, delta(piece))
		}
		p := newProvider(t, openai.Options{BaseURL: upstream(t, sends(data(append(chunks, finished, done)...))), FIM: c.fim})
		rec, req := &recorder{}, request(t, hub.TextCompletion, `{"prompt":"P","suffix":"S"}`)
		req.Whole = true // it is asked for as a stream all the same, because a whole answer cannot be cut
		err := p.Complete(t.Context(), req, rec)
		if err != nil || rec.text.String() != c.want || !strings.HasPrefix(rec.log[len(rec.log)-1], "finish stop") {
			t.Errorf("%s %q: %v, %q", c.fim, c.pieces, err, rec.log)
		}
	}
}

// TestUsageChunkWithExtras: the chunk with the usage passes as it came, if the client asked for the usage.
func TestUsageChunkWithExtras(t *testing.T) {
	extras := `{` + head + `,"choices":[],"usage":{"n":1},"timings":{"ms":1}}`
	for options, want := range map[string][]string{
		`{"include_usage":true}`: {"accepted", "text a", "finish stop  false", "chunk " + extras + " []", `finish stop {"n":1} false with the usage`},
		`null`:                   {"accepted", "text a", `finish stop {"n":1} false`},
	} {
		p := newProvider(t, openai.Options{BaseURL: upstream(t, sends(data(delta("a"), finished, extras, done)))})
		rec := &recorder{}
		err := p.Complete(t.Context(), request(t, hub.ChatCompletion, `{"stream_options":`+options+`}`), rec)
		if err != nil || !slices.Equal(rec.log, want) {
			t.Errorf("%s: %v\n got %q\nwant %q", options, err, rec.log, want)
		}
	}
}

// TestCommentsAreBounded: comments keep an answer alive, but not for ever.
func TestCommentsAreBounded(t *testing.T) {
	for what, c := range map[string]struct {
		stream string
		fails  bool
	}{"after a token": {data(delta("a")), true}, "after the finish": {data(delta("a"), finished), false}} {
		synctest.Test(t, func(t *testing.T) {
			srv := hubtest.Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, c.stream)
				for r.Context().Err() == nil {
					_, _ = io.WriteString(w, ": keep-alive\n\n")
					_ = http.NewResponseController(w).Flush()
					time.Sleep(time.Second)
				}
			}))
			srv.Start()
			defer srv.Close()
			p, err := openai.New(openai.Options{BaseURL: srv.URL + "/v1", Transport: hubtest.Transport(srv)})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := p.Complete(t.Context(), chatRequest(t), &recorder{}); (err != nil) != c.fails {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
}

// TestRefusalHeaders: what an upstream says about limits and retries reaches the client as it came.
func TestRefusalHeaders(t *testing.T) {
	for _, after := range []string{"2.5", "45", "Wed, 21 Oct 2026 07:28:00 GMT"} {
		asked := 0
		_, err := ask(t, func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.Header().Set("Retry-After", after)
			w.Header().Set("X-Should-Retry", "false")
			w.Header().Set("X-Ratelimit-Remaining-Tokens", "0")
			w.Header().Set("Set-Cookie", "a=b")
			w.WriteHeader(http.StatusTooManyRequests)
		}, openai.Options{RetryWait: time.Millisecond})
		e := providerError(t, err, 429, "upstream_error")
		h := http.Header(e.Header)
		if h.Get("Retry-After") != after || h.Get("X-Should-Retry") != "false" || len(h) != 3 || asked != 1 && after != "Wed, 21 Oct 2026 07:28:00 GMT" {
			t.Errorf("%s: %v, asked %d times", after, h, asked)
		}
	}
}

// TestLingering: text after the finish reason keeps the connection open beyond EndTimeout.
func TestLingering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hubtest.Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			write := func(chunks ...string) {
				_, _ = io.WriteString(w, data(chunks...))
				_ = http.NewResponseController(w).Flush()
			}
			write(chat(`{"index":0,"delta":{"content":"first"},"finish_reason":"stop"}`))
			time.Sleep(20 * time.Second)
			write(delta(" second"))
			time.Sleep(50 * time.Second)
			write(delta(" third"), finished)
			time.Sleep(20 * time.Second)
			write(usage, done)
		}))
		srv.Start()
		defer srv.Close()
		p, err := openai.New(openai.Options{BaseURL: srv.URL + "/v1", Transport: hubtest.Transport(srv)})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		rec := &recorder{}
		err = p.Complete(t.Context(), chatRequest(t), rec)
		if err != nil || rec.text.String() != "first second third" || rec.log[len(rec.log)-1] != `finish stop {"total_tokens":3} false` {
			t.Errorf("%v, %q", err, rec.log)
		}
	})
}

// TestLargeEvent: what image models send fits into the default limit.
func TestLargeEvent(t *testing.T) {
	rec, err := ask(t, sends(data(delta(strings.Repeat("x", 6<<20)), finished, done)), openai.Options{})
	if err != nil || rec.text.Len() != 6<<20 {
		t.Errorf("%v, %d bytes", err, rec.text.Len())
	}
}
