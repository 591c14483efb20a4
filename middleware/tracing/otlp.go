//go:build otlp

package tracing

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Built is "otlp" in a binary with tracing, and "" in one without.
const Built = "otlp"

// Tracing creates spans and sends them in the background. A nil Tracing does nothing.
type Tracing struct {
	tracer   trace.Tracer
	provider *sdk.TracerProvider
	exporter *otlptrace.Exporter
}

// w3c reads and writes traceparent and tracestate. Baggage is not propagated: what clients put there is not for the
// upstream.
var w3c propagation.TraceContext

// Start starts sending traces to the collector that the environment sets, and logs its URL. It returns nil if no
// endpoint is set or traces are disabled. It does not connect to the collector: if that is down, only spans beyond the
// queue's size are lost.
func Start(logger *slog.Logger, version string) (*Tracing, error) {
	to, err := target()
	if err != nil || to == "" {
		return nil, err
	}
	otel.SetErrorHandler(&errorLog{logger: logger})
	otel.SetLogger(logr.FromSlogHandler(logger.Handler())) // by default the SDK logs to stderr in its own format
	res, err := resource.New(context.Background(),
		// the environment overrides these
		resource.WithAttributes(semconv.ServiceName("duckwire"), semconv.ServiceVersion(version)),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil { // res has the part that is valid
		logger.Warn("traces: not all that the environment says of this process is understood", "error", err)
	}
	exporter, err := otlptracehttp.New(context.Background())
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	// The queue is bounded (OTEL_BSP_MAX_QUEUE_SIZE, 2048) and drops spans when it is full: no request waits for the
	// collector.
	provider := sdk.NewTracerProvider(sdk.WithResource(res), sdk.WithBatcher(exporter))
	service, _ := res.Set().Value(semconv.ServiceNameKey)
	logger.Info("traces are sent", "to", to, "service", service.AsString(), "sampler",
		cmp.Or(os.Getenv("OTEL_TRACES_SAMPLER"), "parentbased_always_on"))
	return &Tracing{tracer: provider.Tracer("github.com/duckwire/duckwire"), provider: provider, exporter: exporter},
		nil
}

// target rejects settings that the SDK would ignore silently, and returns the collector's URL for the log, or "" if
// traces are disabled.
func target() (string, error) {
	text, variable := endpoint()
	if text == "" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") ||
		os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return "", nil
	}
	u, err := url.Parse(text)
	// not wrapped: err quotes the URL, which may contain a password
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%s must be a whole http or https URL, such as http://127.0.0.1:4318", variable)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		switch protocol := os.Getenv(name); protocol {
		case "":
			continue
		case "http/protobuf", "http/json":
		default:
			return "", fmt.Errorf("%s must be http/protobuf or http/json, which collectors take at port 4318; got %q",
				name, protocol)
		}
		break
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), nil
}

// Close sends the remaining spans and waits for the background goroutine. If ctx ends first, the unsent spans are lost
// and Close returns an error.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	done := make(chan error, 1)
	// with ctx, Shutdown would return early and leave its goroutine running
	go func() { done <- t.provider.Shutdown(context.WithoutCancel(ctx)) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		// aborts the current request; the rest of the queue then fails immediately
		_ = t.exporter.Shutdown(context.WithoutCancel(ctx))
		<-done
		return fmt.Errorf("the last traces were not sent: %w", ctx.Err())
	}
}

// Of returns the span context of a request, for hub.CompletionRequest and hub.AnalysisRequest, or nil if there is none.
func Of(ctx context.Context) any {
	if at := trace.SpanContextFromContext(ctx); at.IsValid() {
		return at
	}
	return nil
}

// Header returns a function that adds traceparent to a request, so that the upstream's spans belong to the same trace.
func (t *Tracing) Header() func(context.Context, http.Header) {
	if t == nil {
		return nil
	}
	return func(ctx context.Context, h http.Header) { w3c.Inject(ctx, propagation.HeaderCarrier(h)) }
}
