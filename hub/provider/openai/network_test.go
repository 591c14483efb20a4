package openai_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/provider/openai"
)

// idle is a transport that counts how often it is to close its idle connections.
type idle struct {
	http.RoundTripper
	closed int
}

func (i *idle) CloseIdleConnections() { i.closed++ }

func TestCloseReachesTheTransport(t *testing.T) {
	transport := &idle{RoundTripper: http.DefaultTransport}
	p, err := openai.New(openai.Options{BaseURL: "http://127.0.0.1:1/v1", Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil || transport.closed != 1 {
		t.Errorf("%v; closed %d times", err, transport.closed)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []openai.Options{
		{},
		{BaseURL: "localhost/v1"},
		{BaseURL: "ftp://h/v1"},
		{BaseURL: "http://h/v1?x=1"},
		{BaseURL: "http://user:secret@/v1"},
		{BaseURL: "http://h/v1", Key: "a b"},
		{BaseURL: "http://h/v1", Key: "a\r\nb"},
		{BaseURL: "http://h/v1", FIM: "magic"},
		{BaseURL: "http://h/v1", Dialect: "klingon"},
		{BaseURL: "http://h/v1", Tries: -1},
	} {
		if _, err := openai.New(o); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, base := range []string{
		"http://h", "http://h/", "http://h/v1/", "https://h/v1beta/openai", "https://h/api/paas/v4", "https://h/beta/",
	} {
		if _, err := openai.New(openai.Options{BaseURL: base}); err != nil {
			t.Errorf("%s: %v", base, err)
		}
	}
}

// taken is the request that an upstream got.
type taken struct {
	path   string
	header http.Header
	body   map[string]json.RawMessage
	raw    string
}

// takes answers with a short completion, and records the request.
func takes(got *taken) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		*got = taken{path: r.URL.Path, header: r.Header, raw: string(raw)}
		_ = json.Unmarshal(raw, &got.body)
		sends(data(delta("a"), finished, done))(w, r)
	}
}

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		name string
		o    openai.Options
		kind hub.CompletionKind
		body string
		want string
	}{
		{
			"untouched",
			openai.Options{},
			hub.ChatCompletion,
			`{"model":"m","messages":[{"role":"user","content":"<a>&\u003c 9007199254740993"}],"temperature":0.10,` +
				`"x":{"y":[1e400]},"stream":false}`,
			`{"messages":[{"role":"user","content":"<a>&\u003c 9007199254740993"}],"model":"m","stream":true,` +
				`"stream_options":{"include_usage":true},"temperature":0.10,"x":{"y":[1e400]}}`,
		},
		{
			"stream_options merged",
			openai.Options{},
			hub.ChatCompletion, `{"model":"m","stream_options":{"include_obfuscation":false,"include_usage":false}}`,
			`{"model":"m","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}`,
		},
		{
			"stream_options left out",
			openai.Options{OmitStreamOptions: true},
			hub.ChatCompletion,
			`{"model":"m","stream_options":{"a":1}}`, `{"model":"m","stream":true}`,
		},
		{
			"default model",
			openai.Options{Model: "def"},
			hub.ChatCompletion, `{}`,
			`{"model":"def","stream":true,"stream_options":{"include_usage":true}}`,
		},
		{
			"default for the built-in one",
			openai.Options{Model: "def"},
			hub.ChatCompletion, `{"model":"duckwire-local"}`,
			`{"model":"def","stream":true,"stream_options":{"include_usage":true}}`,
		},
		{
			"the client's model",
			openai.Options{Model: "def"},
			hub.ChatCompletion, `{"model":"m"}`,
			`{"model":"m","stream":true,"stream_options":{"include_usage":true}}`,
		},
		{
			"suffix",
			openai.Options{OmitStreamOptions: true},
			hub.TextCompletion, `{"prompt":"P","suffix":"S"}`,
			`{"prompt":"P","stream":true,"suffix":"S"}`,
		},
		{
			"template without suffix",
			openai.Options{OmitStreamOptions: true, FIM: openai.Qwen},
			hub.TextCompletion,
			`{"prompt":"P"}`, `{"prompt":"P","stream":true}`,
		},
		{
			"template for chat",
			openai.Options{OmitStreamOptions: true, FIM: openai.Qwen},
			hub.ChatCompletion,
			`{"suffix":"S"}`, `{"stream":true,"suffix":"S"}`,
		},
		{
			"qwen",
			openai.Options{OmitStreamOptions: true, FIM: openai.Qwen},
			hub.TextCompletion, `{"prompt":"P","suffix":"S","stop":["x","<|endoftext|>"]}`,
			`{"prompt":"<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>","stop":["x","<|endoftext|>","<|fim_pad|>",` +
				`"<|file_sep|>","<|fim_prefix|>","<|fim_suffix|>","<|fim_middle|>","<|file_separator|>","<|repo_name|>",` +
				`"<|im_start|>","<|im_end|>"],"stream":true}`,
		},
		{
			"starcoder",
			openai.Options{OmitStreamOptions: true, FIM: openai.StarCoder},
			hub.TextCompletion, `{"prompt":"P","suffix":"S"}`,
			`{"prompt":"<fim_prefix>P<fim_suffix>S<fim_middle>","stop":["<|endoftext|>","<fim_pad>","<file_sep>",` +
				`"<fim_prefix>","<fim_suffix>","<fim_middle>","<repo_name>","<reponame>","<filename>","<gh_stars>"],"stream":true}`,
		},
		{
			"codellama",
			openai.Options{OmitStreamOptions: true, FIM: openai.CodeLlama},
			hub.TextCompletion, `{"prompt":"P","suffix":"S"}`,
			`{"prompt":"<PRE> P <SUF>S <MID>","stop":["<EOT>","<PRE>","<SUF>","<MID>","</s>"],"stream":true}`,
		},
		{
			"codestral",
			openai.Options{OmitStreamOptions: true, FIM: openai.Codestral},
			hub.TextCompletion, `{"prompt":"P","suffix":"S"}`,
			`{"prompt":"[SUFFIX]S[PREFIX]P","stop":["[SUFFIX]","[PREFIX]","[MIDDLE]","</s>"],"stream":true}`,
		},
		{
			"deepseek",
			openai.Options{OmitStreamOptions: true, FIM: openai.DeepSeek},
			hub.TextCompletion, `{"prompt":"P","suffix":"S"}`,
			`{"prompt":"<｜fim▁begin｜>P<｜fim▁hole｜>S<｜fim▁end｜>","stop":["<｜end▁of▁sentence｜>","<|EOT|>","<｜fim▁begin｜>",` +
				`"<｜fim▁hole｜>","<｜fim▁end｜>","<｜begin▁of▁sentence｜>"],"stream":true}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got taken
			c.o.BaseURL, c.o.Key = upstream(t, takes(&got)), "sk-key"
			req := request(t, c.kind, c.body)
			before := len(req.Body)
			if err := newProvider(t, c.o).Complete(t.Context(), req, &recorder{}); err != nil {
				t.Fatal(err)
			}
			path := "/v1/chat/completions"
			if c.kind == hub.TextCompletion {
				path = "/v1/completions"
			}
			if got.raw != c.want || got.path != path {
				t.Errorf("%s\n got %s\nwant %s", got.path, got.raw, c.want)
			}
			if got.header.Get("Authorization") != "Bearer sk-key" || got.header.Get("X-Request-Id") != "req-1" ||
				got.header.Get("X-Idempotency-Key") != "" {
				t.Errorf("header %v", got.header)
			}
			if len(req.Body) != before {
				t.Error("the request's body was changed")
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name               string
		status             int
		media, body        string
		want               int
		code, typ, message string
		own                bool
	}{
		{
			"OpenAI", 400, "application/json", `{"error":{"message":"boom","type":"t","param":"p","code":"c"}}`,
			400, "c", "t",
			"boom", true,
		},
		{
			"Ollama", 404, "application/json", `{"error":"no such model"}`,
			404, "upstream_error", "invalid_request_error",
			"no such model", false,
		},
		{
			"llama.cpp", 400, "application/json",
			`{"error":{"code":400,"message":"boom","type":"invalid_request_error"}}`,
			400, "upstream_error", "invalid_request_error", "boom", true,
		},
		{
			"vLLM of old", 400, "application/json",
			`{"object":"error","message":"boom","type":"BadRequestError","param":null,"code":400}`,
			400, "upstream_error", "BadRequestError", "boom", true,
		},
		{
			"FastAPI", 422, "application/json", `{"detail":"boom"}`,
			422, "upstream_error", "invalid_request_error", "boom",
			false,
		},
		{
			"text", 500, "text/plain", "boom\n", 500, "upstream_error", "server_error",
			"the upstream answered 500 Internal Server Error: boom", false,
		},
		{
			"page", 404, "text/html", "<html>", 404, "upstream_error", "invalid_request_error",
			"the upstream answered 404 Not Found: <html>", false,
		},
		{
			"quota", 429, "application/json", `{"error":{"message":"quota","code":"insufficient_quota"}}`, 429,
			"insufficient_quota", "rate_limit_error", "quota", true,
		},
		{
			"our key", 401, "application/json", `{"error":{"message":"bad sk-key"}}`, 502, "upstream_unauthorized",
			"server_error", "the upstream refuses this server's key (401); whoever runs the server must set another",
			false,
		},
		{
			"flagged", 403, "application/json", `{"error":{"message":"input was flagged"}}`, 403, "upstream_error",
			"invalid_request_error", "input was flagged", true,
		},
		{
			"no content", 204, "", "", 502, "upstream_invalid", "server_error",
			"the upstream answered 204 where 200 was expected", false,
		},
		{
			"quotes the key", 400, "text/plain", "sk-key is bad", 400, "upstream_error", "invalid_request_error",
			"the upstream answered 400 Bad Request: *** is bad", false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int32
			rec, err := ask(t, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Header().Set("Content-Type", c.media)
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}, openai.Options{Key: "sk-key"})
			e := providerError(t, err, c.want, c.code)
			if e.Type != c.typ || e.Message != c.message || (len(e.Body) > 0) != c.own ||
				c.own && string(e.Body) != c.body {
				t.Errorf("%s %q %s", e.Type, e.Message, e.Body)
			}
			if len(rec.log) > 0 || asked.Load() != 1 {
				t.Errorf("asked %d times, told %q", asked.Load(), rec.log)
			}
		})
	}
}

func TestRetries(t *testing.T) {
	refuse := func(status int, retryAfter string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			w.WriteHeader(status)
		}
	}
	good := sends(data(delta("a"), finished, done))
	for _, c := range []struct {
		name   string
		script []http.HandlerFunc
		asked  int
		status int // 0: success
	}{
		{"503 and then well", []http.HandlerFunc{refuse(503, ""), refuse(502, ""), good}, 3, 0},
		{"bounded", []http.HandlerFunc{refuse(504, ""), refuse(503, ""), refuse(502, ""), good}, 3, 502},
		{"429 that says when", []http.HandlerFunc{refuse(429, "0"), good}, 2, 0},
		{"429 that does not", []http.HandlerFunc{refuse(429, ""), good}, 1, 429},
		{"429 for too long", []http.HandlerFunc{refuse(429, "60"), good}, 1, 429},
		{"503 for too long", []http.HandlerFunc{refuse(503, "60"), good}, 1, 503},
		{"500", []http.HandlerFunc{refuse(500, ""), good}, 1, 500},
		{"never after 200", []http.HandlerFunc{cuts("", nil), good}, 1, 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			hubtest.OwnClock(t, func(t *testing.T) {
				var asked atomic.Int32
				_, err := ask(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					c.script[asked.Add(1)-1](w, r)
				}, openai.Options{RetryWait: time.Millisecond, RetryMost: 50 * time.Millisecond})
				var e *hub.ProviderError
				if errors.As(err, &e) != (c.status != 0) || e != nil && e.Status != c.status ||
					int(asked.Load()) != c.asked {
					t.Errorf("asked %d times, %v; want %d, status %d", asked.Load(), err, c.asked, c.status)
				}
				if e != nil && strings.Contains(c.name, "too long") && e.RetryAfter != time.Minute {
					t.Errorf("retry after %v", e.RetryAfter)
				}
			})
		})
	}
}

// dialer fails the first dials, and counts them.
type dialer struct {
	fail  int32
	dials atomic.Int32
}

func (d *dialer) transport() *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if d.dials.Add(1) <= d.fail {
				return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("no route to 10.9.8.7")}
			}
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}
}

func TestConnectRetries(t *testing.T) {
	d := &dialer{fail: 2}
	rec, err := ask(t, sends(data(delta("a"), finished, done)),
		openai.Options{Transport: d.transport(), RetryWait: time.Millisecond})
	if err != nil || rec.text.String() != "a" || d.dials.Load() != 3 {
		t.Errorf("%v, %q after %d dials", err, rec.text.String(), d.dials.Load())
	}
	d = &dialer{fail: 9}
	_, err = ask(t, sends(""), openai.Options{Transport: d.transport(), RetryWait: time.Millisecond, Tries: 2})
	if e := providerError(t, err, http.StatusBadGateway, "upstream_unreachable"); d.dials.Load() != 2 ||
		strings.Contains(e.Message, "10.9") {
		t.Errorf("%d dials, %q", d.dials.Load(), e.Message)
	}
	srv := httptest.NewServer(nil)
	srv.Close()
	err = newProvider(t, openai.Options{BaseURL: srv.URL + "/v1", RetryWait: time.Millisecond}).Complete(t.Context(),
		chatRequest(t), &recorder{})
	if e := providerError(t, err, http.StatusBadGateway, "upstream_unreachable"); !strings.Contains(e.Message,
		"is it running") {
		t.Errorf("%q", e.Message)
	}
}

// TestStaleConnection checks that a reused connection that the upstream has closed is replaced without an error for
// the client.
func TestStaleConnection(t *testing.T) {
	var first sync.Once
	var conns []net.Conn
	var mu sync.Mutex
	srv := httptest.NewUnstartedServer(sends(data(delta("a"), finished, done)))
	srv.Config.ConnState = func(c net.Conn, s http.ConnState) {
		if s == http.StateNew {
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
	}
	srv.Start()
	defer srv.Close()
	p := newProvider(t, openai.Options{BaseURL: srv.URL + "/v1"})
	for range 20 {
		if err := p.Complete(t.Context(), chatRequest(t), &recorder{}); err != nil {
			t.Fatal(err)
		}
		first.Do(func() {
			mu.Lock()
			defer mu.Unlock()
			if len(conns) != 1 {
				t.Fatalf("%d connections", len(conns))
			}
			_ = conns[0].Close()
		})
	}
	mu.Lock()
	defer mu.Unlock()
	if len(conns) != 2 {
		t.Errorf("%d connections for 20 completions, one cut in between; want 2: they are not kept", len(conns))
	}
}

func TestStreamOptionsRefused(t *testing.T) {
	var bodies []string
	h := func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(raw))
		if strings.Contains(string(raw), "stream_options") {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":{"message":"Unknown parameter: stream_options"}}`)
			return
		}
		sends(data(delta("a"), finished, done))(w, r)
	}
	p := newProvider(t, openai.Options{BaseURL: upstream(t, h)})
	for _, want := range []int{2, 3} { // the second request does not send stream_options
		if err := p.Complete(t.Context(), chatRequest(t), &recorder{}); err != nil || len(bodies) != want {
			t.Fatalf("%v after %d requests: %q", err, len(bodies), bodies)
		}
	}
	bodies = nil
	_, err := ask(t, func(w http.ResponseWriter, r *http.Request) {
		bodies = append(bodies, "")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"message":"stream_options or else","code":"c"}}`)
	}, openai.Options{})
	if providerError(t, err, 400, "c"); len(bodies) != 2 {
		t.Errorf("asked %d times", len(bodies))
	}
}

func TestRedirectRefused(t *testing.T) {
	var leaked atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked.Store(true) }))
	defer thief.Close()
	for _, status := range []int{301, 302, 307, 308} {
		_, err := ask(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL+"/v1", status) },
			openai.Options{Key: "sk-key"})
		providerError(t, err, http.StatusBadGateway, "upstream_redirect")
	}
	p := newProvider(t, openai.Options{BaseURL: upstream(t,
		func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL, http.StatusFound) })})
	_, err := p.Models(t.Context())
	if providerError(t, err, http.StatusBadGateway, "upstream_redirect"); leaked.Load() {
		t.Error("a redirect was followed")
	}
}

// TestCancelAborts checks that the upstream's request ends when the client leaves, at every stage.
func TestCancelAborts(t *testing.T) {
	for _, stage := range []string{
		"before the headers", "before the first token", "within the answer", "while retrying",
	} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			reached, gone := make(chan struct{}), make(chan struct{})
			var once sync.Once
			url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				switch stage {
				case "while retrying":
					w.WriteHeader(http.StatusServiceUnavailable)
					once.Do(func() { close(reached); close(gone) })
					return
				case "before the headers":
				default:
					w.Header().Set("Content-Type", "text/event-stream")
					if stage == "within the answer" {
						_, _ = io.WriteString(w, data(delta("a")))
					}
					_ = http.NewResponseController(w).Flush()
				}
				close(reached)
				<-r.Context().Done()
				close(gone)
			})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			p := newProvider(t, openai.Options{BaseURL: url, RetryWait: time.Hour, RetryMost: time.Hour})
			go func() { done <- p.Complete(ctx, chatRequest(t), &recorder{}) }()
			<-reached
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			<-gone
		})
	}
}

// TestWriterErrorAborts checks that the stream is not read to its end after an error of the writer.
func TestWriterErrorAborts(t *testing.T) {
	gone := make(chan struct{})
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		sends(data(delta("a")))(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	rec := &recorder{onText: func() error { return errs.ErrTooLarge }}
	if err := newProvider(t, openai.Options{BaseURL: url}).Complete(t.Context(), chatRequest(t), rec); !errors.Is(err,
		errs.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
	<-gone
}

func TestTimeouts(t *testing.T) {
	hang := func(stream string, flush bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if flush {
				sends(stream)(w, r)
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
		}
	}
	chatty := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, ": PROCESSING\n\n")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	}
	first := openai.Options{FirstTokenTimeout: 100 * time.Millisecond, SilenceTimeout: time.Hour}
	silence := openai.Options{
		FirstTokenTimeout: time.Hour, SilenceTimeout: 100 * time.Millisecond, EndTimeout: 100 * time.Millisecond,
	}
	for _, c := range []struct {
		name string
		h    http.HandlerFunc
		o    openai.Options
		code string
	}{
		{"no headers", hang("", false), first, "upstream_timeout"},
		{"no event", hang("", true), first, "upstream_timeout"},
		{"half an event", hang("data: {", true), first, "upstream_timeout"},
		{"comments are no token", chatty, openai.Options{AnswerTimeout: 50 * time.Millisecond}, "upstream_timeout"},
		{"silence", hang(data(delta("a")), true), silence, "upstream_timeout"},
		{"silence in a whole answer", hang(`{"id":`, true), silence, "upstream_timeout"},
		{"silence after the finish", hang(data(delta("a"), finished), true), silence, ""},
		{"silence after [DONE]", hang(data(delta("a"), done), true), openai.Options{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			hubtest.OwnClock(t, func(t *testing.T) {
				rec, err := ask(t, c.h, c.o)
				if c.code != "" {
					providerError(t, err, http.StatusGatewayTimeout, c.code)
				} else if err != nil || !slices.Contains(rec.log, "finish stop  false") {
					t.Errorf("%v, %q", err, rec.log)
				}
			})
		})
	}
}

// TestCommentsKeepAlive checks that comments prevent the timeout for silence.
func TestCommentsKeepAlive(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		rec, err := ask(t, func(w http.ResponseWriter, r *http.Request) {
			sends(data(delta("a")))(w, r)
			for range 30 {
				_, _ = io.WriteString(w, ": still here\n")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(100 * time.Millisecond)
			}
			_, _ = io.WriteString(w, "\n"+data(delta("b"), finished, done))
		}, openai.Options{SilenceTimeout: 2 * time.Second})
		if err != nil || rec.text.String() != "ab" {
			t.Errorf("%v, %q", err, rec.log)
		}
	})
}

func TestTextComesAtOnce(t *testing.T) {
	next := make(chan struct{})
	rec := &recorder{onText: func() error { next <- struct{}{}; return nil }}
	url := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 5 {
			_, _ = io.WriteString(w, data(delta(fmt.Sprint(i))))
			_ = http.NewResponseController(w).Flush()
			<-next // the upstream continues only after the text has arrived
		}
		_, _ = io.WriteString(w, data(finished, done))
	})
	if err := newProvider(t, openai.Options{BaseURL: url}).Complete(t.Context(), chatRequest(t), rec); err != nil ||
		rec.text.String() != "01234" {
		t.Errorf("%v, %q", err, rec.log)
	}
}
