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
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/provider/openai"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a CompletionWriter that records its calls.
type recorder struct {
	log    []string
	info   hub.CompletionInfo
	text   strings.Builder
	onText func() error
}

func (r *recorder) Accepted()                        { r.log = append(r.log, "accepted") }
func (r *recorder) Describe(info hub.CompletionInfo) { r.info = info }

func (r *recorder) Text(text string) error {
	r.log = append(r.log, "text "+text)
	r.text.WriteString(text)
	if r.onText != nil {
		return r.onText()
	}
	return nil
}

func (r *recorder) Chunk(raw json.RawMessage, text string) error {
	r.log = append(r.log, fmt.Sprintf("chunk %s [%s]", raw, text))
	r.text.WriteString(text)
	return nil
}

func (r *recorder) Whole(raw json.RawMessage, text string) error {
	r.log = append(r.log, fmt.Sprintf("whole %s [%s]", raw, text))
	r.text.WriteString(text)
	return nil
}

func (r *recorder) Finish(f hub.Finish) {
	entry := fmt.Sprintf("finish %s %s %v", f.Reason, f.Usage, f.ReasonSent)
	if f.UsageSent {
		entry += " with the usage"
	}
	if n := len(r.log); n > 0 && strings.HasPrefix(r.log[n-1], "finish "+f.Reason) { // it is told again, with the usage
		r.log = r.log[:n-1]
	}
	r.log = append(r.log, entry)
}

// upstream serves one handler under /v1.
func upstream(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL + "/v1"
}

// sends answers every request with an event stream of these bytes.
func sends(stream string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream)
	}
}

// cuts answers with an event stream of these bytes and then breaks the connection: without the end of the chunked
// body, or by a reset. The reset waits until the client has read the bytes, which it may overtake otherwise.
func cuts(stream string, reset *taking) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"+
			"%x\r\n%s\r\n", len(stream), stream)
		if reset != nil {
			<-reset.taken
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
	}
}

// taking is a transport that signals when so many bytes of a response body have been read.
type taking struct {
	http.Transport
	left  int
	taken chan struct{}
}

func newTaking(n int) *taking { return &taking{left: n, taken: make(chan struct{})} }

func (t *taking) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.Transport.RoundTrip(r)
	if err == nil {
		resp.Body = &takenBody{resp.Body, t}
	}
	return resp, err
}

type takenBody struct {
	io.ReadCloser
	by *taking
}

func (b *takenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if had := b.by.left; had > 0 {
		if b.by.left = had - n; had <= n {
			close(b.by.taken)
		}
	}
	return n, err
}

func newProvider(t testing.TB, o openai.Options) *openai.Provider {
	t.Helper()
	p, err := openai.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// request returns a request as the handler makes it from this body.
func request(t testing.TB, kind hub.CompletionKind, body string) *hub.CompletionRequest {
	t.Helper()
	req := &hub.CompletionRequest{Kind: kind, RequestID: "req-1"}
	if err := json.Unmarshal([]byte(body), &req.Body); err != nil {
		t.Fatal(err)
	}
	var in struct {
		Model, Prompt string
		Suffix        *string
		Stop          []string
	}
	if err := json.Unmarshal([]byte(body), &in); err != nil {
		t.Fatal(err)
	}
	req.Model, req.Prompt, req.Stop = in.Model, in.Prompt, in.Stop
	if in.Suffix != nil {
		req.HasSuffix, req.Suffix = true, *in.Suffix
	}
	return req
}

func chatRequest(t testing.TB) *hub.CompletionRequest {
	return request(t, hub.ChatCompletion, `{"model":"m","messages":[{"role":"user","content":"hi"}]}`)
}

// ask completes against a handler, and returns what the writer recorded.
func ask(t testing.TB, h http.HandlerFunc, o openai.Options) (*recorder, error) {
	t.Helper()
	srv := hubtest.Server(h)
	srv.Start()
	t.Cleanup(srv.Close)
	if o.BaseURL = srv.URL + "/v1"; hubtest.HasOwnClock() {
		o.Transport = hubtest.Transport(srv)
	}
	rec := &recorder{}
	ctx, cancel := context.WithTimeout(context.Background(), hubtest.Hung)
	defer cancel()
	return rec, newProvider(t, o).Complete(ctx, chatRequest(t), rec)
}

func providerError(t testing.TB, err error, status int, code string) *hub.ProviderError {
	t.Helper()
	var e *hub.ProviderError
	if !errors.As(err, &e) {
		t.Fatalf("%v; want a provider's error %s", err, code)
	}
	if e.Status != status || e.Code != code || e.Message == "" {
		t.Fatalf("%d %s %q; want %d %s", e.Status, e.Code, e.Message, status, code)
	}
	return e
}

// data encodes chunks as an event stream.
func data(chunks ...string) string {
	var b strings.Builder
	for _, c := range chunks {
		b.WriteString("data: " + c + "\n\n")
	}
	return b.String()
}

const head = `"id":"c1","object":"chat.completion.chunk","created":7,"model":"m"`

// delta returns a plain chat chunk.
func delta(content string) string {
	c, _ := json.Marshal(content)
	return `{` + head + `,"choices":[{"index":0,"delta":{"content":` + string(c) + `},"finish_reason":null}]}`
}

const (
	opening = `{` + head + `,"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,` +
		`"finish_reason":null}]}`
	finished = `{` + head + `,"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	usage    = `{` + head + `,"choices":[],"usage":{"total_tokens":3}}`
	done     = `[DONE]`
)
