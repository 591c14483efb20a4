//go:build otlp

package tracing_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/middleware/tracing"
	"github.com/duckwire/duckwire/middleware/tracing/collectortest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts tracing and returns what it logged.
func start(t *testing.T) (*tracing.Tracing, string, error) {
	t.Helper()
	var logged strings.Builder
	traces, err := tracing.Start(slog.New(slog.NewTextHandler(&logged, nil)), "v1")
	t.Cleanup(func() { _ = traces.Close(t.Context()) }) // closing twice is allowed
	return traces, logged.String(), err
}

// TestTraceStart: the collector's URL is logged once, without secrets; settings that the SDK would ignore are errors.
func TestTraceStart(t *testing.T) {
	type env map[string]string
	for name, c := range map[string]struct {
		env    env
		logged string // in the one line; "": nothing is
		err    string
	}{
		"nothing set": {},
		"endpoint": {
			env:    env{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:a-secret@collector:4318/base?key=a-secret"},
			logged: `to=https://collector:4318/base service=duckwire sampler=parentbased_always_on`,
		},
		"of traces": {env: env{
			"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/t", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a",
			"OTEL_SERVICE_NAME": "wire", "OTEL_TRACES_SAMPLER": "always_off",
		}, logged: "to=http://b/t service=wire sampler=always_off"},
		"disabled":    {env: env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_SDK_DISABLED": "true"}},
		"no exporter": {env: env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_TRACES_EXPORTER": "none"}},
		"no scheme": {
			env: env{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
			err: "OTEL_EXPORTER_OTLP_ENDPOINT must be a whole http or https URL, such as http://127.0.0.1:4318",
		},
		"no URL": {
			env: env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a-secret\x7f@b"},
			err: "OTEL_EXPORTER_OTLP_ENDPOINT must be a whole",
		},
		"gRPC": {
			env: env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
			err: `OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf or http/json`,
		},
		"gRPC for others": {
			env: env{
				"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
				"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
			},
			logged: "to=http://a service",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range c.env {
				t.Setenv(key, value)
			}
			traces, logged, err := start(t)
			lines := 0
			if c.logged != "" {
				lines = 1
			}
			if (traces != nil) != (lines == 1) || strings.Count(logged, "\n") != lines ||
				!strings.Contains(logged, c.logged) {
				t.Errorf("%v; logged: %s", traces, logged)
			}
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v, want %q", err, c.err)
			}
			if strings.Contains(logged, "a-secret") || err != nil && strings.Contains(err.Error(), "a-secret") {
				t.Errorf("a secret: %s %v", logged, err)
			}
		})
	}
}

// TestUnwrap checks that a traced provider can be reached for what has no span.
func TestUnwrap(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	traces, _, err := start(t)
	if err != nil {
		t.Fatal(err)
	}
	p := &panicking{}
	if w, ok := traces.Provider(p).(interface{ Unwrap() hub.Provider }); !ok || w.Unwrap() != hub.Provider(p) {
		t.Errorf("%v", w)
	}
}

// panicking is a provider that panics.
type panicking struct{ hub.Provider }

func (panicking) Complete(context.Context, *hub.CompletionRequest, hub.CompletionWriter) error {
	panic("with the prompt in its words")
}

// TestTracePanic: a panic is passed on, and its value is not in the span.
func TestTracePanic(t *testing.T) {
	collector := collectortest.Start(t)
	traces, _, err := start(t)
	if err != nil {
		t.Fatal(err)
	}
	p := traces.Provider(panicking{})
	if _, analyses := p.(hub.Analyzer); analyses {
		t.Error("a provider that does not analyse does so")
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
		}()
		_ = p.Complete(t.Context(), &hub.CompletionRequest{}, nil)
	}()
	abort := traces.Requests()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))
	func() {
		defer func() { _ = recover() }() // as net/http does
		abort.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/models", nil))
	}()
	if err := traces.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"completion": "panic", "GET": "aborted"} {
		span := collector.Wait(name)
		if got := collectortest.Attributes(span)["error.type"]; got != want ||
			span.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
			t.Errorf("%s: %v", name, span)
		}
	}
	collector.Lacks("prompt in its words")
}

// TestTraceComplaints: errors of a collector are logged once, and not each time.
func TestTraceComplaints(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "no such tenant "+strings.Repeat("x", 10_000))
	}))
	t.Cleanup(refusing.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", refusing.URL)
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
	var logged strings.Builder
	traces, err := tracing.Start(slog.New(slog.NewTextHandler(&logged, nil)), "v1")
	if err != nil {
		t.Fatal(err)
	}
	h := traces.Requests()(http.NotFoundHandler())
	for range 10 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}
	_ = traces.Close(t.Context())
	if got := logged.String(); strings.Count(got, "no such tenant") != 1 || len(got) > 4000 {
		t.Errorf("logged: %s", got)
	}
}
