//go:build otlp

package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/httpserver"
	"github.com/duckwire/duckwire/middleware/tracing/collectortest"
)

// Texts that must not reach a collector.
const (
	tracedKey    = "sk-key-of-the-upstream"
	tracedPrompt = "a prompt that nobody else may read"
	tracedAnswer = "an answer that nobody else may read"
	tracedQuery  = "a-secret-in-a-query"
)

// tracedServer is a server that exports traces, and a token for it.
type tracedServer struct {
	t     *testing.T
	app   *app
	cfg   *config.Config
	http  *http.Server
	url   string
	token string
	ended sync.Once
}

func startTraced(t *testing.T, upstream http.HandlerFunc) *tracedServer {
	t.Helper()
	s := &tracedServer{t: t, cfg: &config.Config{
		DataDir: t.TempDir(), JWTSecret: testSecret, DrainTimeout: time.Minute, StreamsPerUser: 10,
	}}
	if upstream != nil {
		u := httptest.NewServer(upstream)
		t.Cleanup(u.Close)
		s.cfg.UpstreamURL, s.cfg.UpstreamKey, s.cfg.UpstreamModel, s.cfg.UpstreamFIM = u.URL+"/v1", tracedKey, "m", "suffix"
	}
	var err error
	if s.app, err = buildServer(s.cfg, quiet()); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = httpserver.New(s.app.handler, quiet())
	srv.Start()
	s.http, s.url = srv.Config, srv.URL
	t.Cleanup(srv.Close)
	t.Cleanup(s.stop)
	if s.token, err = signToken(testSecret, tokenClaims{user: "ada", caps: devCaps, ttl: time.Hour}); err != nil {
		t.Fatal(err)
	}
	return s
}

// stop stops the server in order. After that all spans have been sent.
func (s *tracedServer) stop() {
	s.ended.Do(func() {
		stop(s.cfg, s.http, s.app, quiet())
		s.app.close(quiet())
	})
}

// do sends a request and returns the response, whose body is not read yet.
func (s *tracedServer) do(method, path, body string, headers ...string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// whole sends a request and reads the whole response.
func (s *tracedServer) whole(method, path, body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	resp := s.do(method, path, body, headers...)
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(text)
}

func chat(streamed bool) string {
	return fmt.Sprintf(`{"model":"small","stream":%t,"messages":[{"role":"user","content":%q}]}`, streamed, tracedPrompt)
}

// answering answers each request with one piece of text, and sends the request's header to seen.
func answering(seen chan<- http.Header) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if seen != nil {
			seen <- r.Header
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%q},\"finish_reason\":\"stop\"}]}\n\n"+
			"data: [DONE]\n\n", tracedAnswer)
	}
}

// hanging begins a response and waits until the request is cancelled.
func hanging(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // net/http detects the end of the request only after the body was read
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", tracedAnswer)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func sameAttributes(t *testing.T, span *tracepb.Span, want map[string]string) {
	t.Helper()
	got := collectortest.Attributes(span)
	for key, value := range want {
		if have, there := got[key]; have != value || there != (value != "") {
			t.Errorf("%s: %s is %q, want %q", span.Name, key, have, value)
		}
	}
}

// TestTraceCompletion follows one completion from the client's own span to the upstream.
func TestTraceCompletion(t *testing.T) {
	collector := collectortest.Start(t)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=tests")
	seen := make(chan http.Header, 1)
	s := startTraced(t, answering(seen))
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	resp, text := s.whole("POST", "/v1/chat/completions?access_token="+tracedQuery, chat(true),
		"traceparent", "00-"+trace+"-"+parent+"-01", "baggage", "secret="+tracedQuery,
		"X-Request-Id", "request-1", "User-Agent", "an editor")
	if resp.StatusCode != http.StatusOK || !strings.Contains(text, tracedAnswer) ||
		!strings.Contains(text, "data: [DONE]\n") {
		t.Fatalf("%d\n%s", resp.StatusCode, text)
	}
	s.stop()

	spans := collector.Spans()
	if len(spans) != 2 {
		t.Fatalf("%d spans: %v", len(spans), spans)
	}
	request, completion := collector.Wait("POST /v1/chat/completions"), collector.Wait("completion")
	if request.Kind != tracepb.Span_SPAN_KIND_SERVER || hex.EncodeToString(request.TraceId) != trace ||
		hex.EncodeToString(request.ParentSpanId) != parent ||
		request.Status.GetCode() != tracepb.Status_STATUS_CODE_UNSET {
		t.Errorf("the request: %v", request)
	}
	sameAttributes(t, request, map[string]string{
		"http.request.method": "POST", "http.route": "/v1/chat/completions", "http.response.status_code": "200",
		"url.path": "/v1/chat/completions", "url.query": "", "url.scheme": "http",
		"server.address": "127.0.0.1", "network.protocol.version": "1.1", "user_agent.original": "an editor",
		"duckwire.request_id": "request-1", "duckwire.stream": resp.Header.Get("Duckwire-Stream"),
		"duckwire.lasting": "true", "error.type": "",
	})
	if completion.Kind != tracepb.Span_SPAN_KIND_CLIENT || hex.EncodeToString(completion.TraceId) != trace ||
		string(completion.ParentSpanId) != string(request.SpanId) ||
		completion.Status.GetCode() != tracepb.Status_STATUS_CODE_UNSET ||
		collectortest.Events(completion) != "accepted, first token" {
		t.Errorf("the completion: %v", completion)
	}
	sameAttributes(t, completion, map[string]string{
		"duckwire.kind": "completion", "gen_ai.operation.name": "chat", "gen_ai.request.model": "small",
		"gen_ai.response.finish_reasons": "stop", "duckwire.end": "done",
		"duckwire.text_bytes": fmt.Sprint(len(tracedAnswer)), "duckwire.request_id": "request-1", "error.type": "",
	})
	header := <-seen
	want := "00-" + trace + "-" + hex.EncodeToString(completion.SpanId) + "-01"
	if got := header.Get("traceparent"); got != want || header.Get("baggage") != "" {
		t.Errorf("the upstream saw traceparent %q, want %q; baggage %q", got, want, header.Get("baggage"))
	}
	resource := collector.Resource()
	if resource["service.name"] != "duckwire" || resource["service.version"] != buildVersion() ||
		resource["deployment.environment.name"] != "tests" {
		t.Errorf("resource: %v", resource)
	}
	collector.Lacks(s.token, tracedKey, tracedPrompt, tracedAnswer, tracedQuery, testSecret)
}

// TestTraceCancelled: a completion goes on after its request. The request's span does not wait for it.
func TestTraceCancelled(t *testing.T) {
	collector := collectortest.Start(t)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	s := startTraced(t, hanging)
	resp, _ := s.whole("POST", "/v1/chat/completions", chat(false), "Prefer", "respond-async")
	request := collector.Wait("POST /v1/chat/completions") // while the completion runs
	sameAttributes(t, request, map[string]string{"http.response.status_code": "202", "duckwire.lasting": ""})
	id := resp.Header.Get("Duckwire-Stream")
	if resp, text := s.whole("DELETE", "/v1/streams/"+id, ""); resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	completion := collector.Wait("completion")
	if string(completion.ParentSpanId) != string(request.SpanId) ||
		completion.Status.GetCode() != tracepb.Status_STATUS_CODE_UNSET {
		t.Errorf("%v", completion)
	}
	sameAttributes(t, completion, map[string]string{"duckwire.end": "cancelled", "error.type": ""})
	sameAttributes(t, collector.Wait("DELETE /v1/streams/{id}"), map[string]string{
		"url.path": "/v1/streams/" + id, "http.route": "/v1/streams/{id}",
	})
	collector.Lacks(s.token, tracedPrompt, tracedAnswer)
}

// TestTraceErrors: an upstream's error messages are not traced, because they may contain the prompt.
func TestTraceErrors(t *testing.T) {
	for code, want := range map[string]string{
		"context_length_exceeded": "context_length_exceeded", tracedPrompt: "other",
	} {
		collector := collectortest.Start(t)
		s := startTraced(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":{"message":"too long: %s","type":"invalid_request_error","code":%q}}`, tracedPrompt, code)
		})
		resp, text := s.whole("POST", "/v1/completions", fmt.Sprintf(`{"model":"m","prompt":%q}`, tracedPrompt))
		if resp.StatusCode != http.StatusBadRequest {
			t.Fatalf("%d %s", resp.StatusCode, text)
		}
		s.stop()
		completion := collector.Wait("completion")
		sameAttributes(t, completion, map[string]string{
			"duckwire.end": want, "error.type": want, "gen_ai.operation.name": "text_completion", "duckwire.text_bytes": "0",
		})
		if completion.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || collectortest.Events(completion) != "" {
			t.Errorf("%v", completion)
		}
		sameAttributes(t, collector.Wait("POST /v1/completions"), map[string]string{
			"http.response.status_code": "400", "error.type": "",
		})
		collector.Lacks(tracedPrompt, tracedKey)
	}
}

// TestTraceAnalysis: an analysis is one span, no matter how many requests to the upstream it needs.
func TestTraceAnalysis(t *testing.T) {
	collector := collectortest.Start(t)
	seen := make(chan http.Header, 1)
	s := startTraced(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		w.Header().Set("Content-Type", "text/event-stream")
		const issue = `{\"file\":\"a.go\",\"line\":1,\"severity\":\"high\",\"message\":\"` + tracedAnswer + `\"}\n`
		fmt.Fprint(w, `data: {"choices":[{"index":0,"delta":{"content":"`+issue+`"},"finish_reason":"stop"}]}`+"\n\n"+
			"data: [DONE]\n\n")
	})
	resp, text := s.whole("POST", "/v1/analyses", fmt.Sprintf(`{"type":"style","path":"a.go","code":%q}`, tracedPrompt))
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	header := <-seen
	s.stop()
	analysis, request := collector.Wait("analysis"), collector.Wait("POST /v1/analyses")
	if string(analysis.ParentSpanId) != string(request.SpanId) ||
		collectortest.Events(analysis) != "accepted, first issue" ||
		!strings.Contains(header.Get("traceparent"), hex.EncodeToString(analysis.SpanId)) {
		t.Errorf("%v; upstream: %v", analysis, header)
	}
	sameAttributes(t, analysis, map[string]string{
		"duckwire.kind": "analysis", "duckwire.end": "done", "duckwire.analysis_type": "style",
		"duckwire.files": "1", "duckwire.issues": "1",
	})
	collector.Lacks(tracedPrompt, tracedAnswer)
}

// TestTraceLasting: the span of a long response is exported while the response lasts, and spans do not change the
// response.
func TestTraceLasting(t *testing.T) {
	collector := collectortest.Start(t)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	s := startTraced(t, nil)

	events := s.do("GET", "/v1/topics/room/events", "", "Accept", "text/event-stream")
	lines := bufio.NewScanner(events.Body)
	if !lines.Scan() || lines.Text() != "event: hello" {
		t.Fatalf("%d %q", events.StatusCode, lines.Text())
	}
	sameAttributes(t, collector.Wait("GET /v1/topics/{topic}/events"), map[string]string{
		"http.response.status_code": "200", "duckwire.lasting": "true",
	})

	address := "ws" + strings.TrimPrefix(s.url, "http") + "/socket/websocket?vsn=2.0.0&token=" + s.token
	conn, _, err := websocket.Dial(t.Context(), address, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	sameAttributes(t, collector.Wait("GET /socket/websocket"), map[string]string{
		"http.response.status_code": "101", "duckwire.lasting": "true",
	})
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(`[null,"1","phoenix","heartbeat",{}]`)); err != nil {
		t.Fatal(err)
	}
	if _, reply, err := conn.Read(t.Context()); err != nil || !strings.Contains(string(reply), `"ok"`) {
		t.Errorf("%s, %v", reply, err)
	}
	collector.Lacks(s.token)
}

// TestTraceRequests checks the spans of other kinds of requests.
func TestTraceRequests(t *testing.T) {
	collector := collectortest.Start(t)
	s := startTraced(t, nil)
	s.whole("GET", "/healthz", "")
	s.whole("GET", "/readyz", "")
	s.whole("GET", "/nowhere/"+s.token, "")
	s.whole("BREW", "/v1/streams", "")
	s.whole("GET", "/v1/streams", "", "Authorization", "Bearer x")
	s.whole("GET", "/v1/streams", "")
	s.stop()
	var got []string
	for _, span := range collector.Spans() {
		a := collectortest.Attributes(span)
		got = append(got, fmt.Sprint(span.Name, " ", a["http.request.method"], " ", a["http.response.status_code"]))
		if len(span.ParentSpanId) != 0 {
			t.Errorf("%s has a parent", span.Name)
		}
	}
	const want = "GET GET 404; HTTP _OTHER 405; GET /v1/streams GET 401; GET /v1/streams GET 200"
	if strings.Join(got, "; ") != want {
		t.Errorf("%s; want %s", strings.Join(got, "; "), want)
	}
	collector.Lacks(s.token)
}

// TestTraceSampled: spans that are not sampled are not sent, and the upstream is told so.
func TestTraceSampled(t *testing.T) {
	collector := collectortest.Start(t)
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	seen := make(chan http.Header, 1)
	s := startTraced(t, answering(seen))
	if _, text := s.whole("POST", "/v1/chat/completions", chat(false)); !strings.Contains(text, tracedAnswer) {
		t.Error(text)
	}
	s.stop()
	if header := <-seen; !strings.HasSuffix(header.Get("traceparent"), "-00") || len(collector.Spans()) != 0 {
		t.Errorf("%v, %v", header, collector.Spans())
	}
}

// TestTraceCollectorAway: a collector that hangs, fails or does not exist does not slow down responses, and a stop does
// not wait for it longer than allowed.
func TestTraceCollectorAway(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"hangs": nil,
		"fails": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
	} {
		t.Run(name, func(t *testing.T) {
			asked, release := make(chan struct{}, 1000), make(chan struct{})
			collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- struct{}{}
				if answer == nil {
					<-release
					return
				}
				answer(w, r)
			}))
			t.Cleanup(collector.Close)
			t.Cleanup(func() { close(release) }) // only when everything else has ended
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
			// The exporter would retry for longer than this test may take; our own timeout must end that.
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000")
			t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "3600000")
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
			t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
			s := startTraced(t, answering(nil))
			for range 50 {
				if _, text := s.whole("POST", "/v1/chat/completions", chat(true)); !strings.Contains(text, "data: [DONE]\n") {
					t.Fatal(text)
				}
			}
			<-asked
			var logged strings.Builder
			s.cfg.DrainTimeout = 100 * time.Millisecond
			s.ended.Do(func() {
				stop(s.cfg, s.http, s.app, quiet())
				s.app.close(slog.New(slog.NewTextHandler(&logged, nil)))
			})
			if !strings.Contains(logged.String(), "the last traces were not sent") {
				t.Errorf("logged: %s", logged.String())
			}
		})
	}
	t.Run("is not there", func(t *testing.T) {
		gone := httptest.NewServer(nil)
		gone.Close()
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gone.URL)
		s := startTraced(t, answering(nil))
		if _, text := s.whole("POST", "/v1/chat/completions", chat(true)); !strings.Contains(text, "data: [DONE]\n") {
			t.Error(text)
		}
		s.stop()
	})
}

// TestTraceEndpoint: without an endpoint no traces are sent, and the command reports that it supports them.
func TestTraceEndpoint(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	seen := make(chan http.Header, 1)
	s := startTraced(t, answering(seen))
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	s.whole("POST", "/v1/chat/completions", chat(false), "traceparent", parent)
	if header := <-seen; header.Get("traceparent") != "" {
		t.Errorf("%v", header)
	}
	var out strings.Builder
	code := run(context.Background(), []string{"version"}, nil, &out, io.Discard)
	if code != exitOK || !strings.HasSuffix(out.String(), " with otlp\n") {
		t.Errorf("%d %s", code, out.String())
	}
}
