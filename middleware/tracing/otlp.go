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

// Built tells of this binary, for people: "otlp", or "" where it cannot trace.
const Built = "otlp"

// Tracing makes spans and sends them, in the background. Nil does nothing.
type Tracing struct {
	tracer   trace.Tracer
	provider *sdk.TracerProvider
	exporter *otlptrace.Exporter
}

// w3c reads and writes traceparent and tracestate. Baggage is left alone: what clients put there is not for the upstream.
var w3c propagation.TraceContext

// Start begins to send traces where the environment says, and logs where that is. It returns nil where no endpoint is set, or they are switched off.
// It does not reach out to the collector: one that is down costs the spans that do not fit into the queue, and nothing else.
func Start(logger *slog.Logger, version string) (*Tracing, error) {
	to, err := target()
	if err != nil || to == "" {
		return nil, err
	}
	otel.SetErrorHandler(&complaints{logger: logger})
	otel.SetLogger(logr.FromSlogHandler(logger.Handler())) // else the SDK writes lines of its own form to stderr
	res, err := resource.New(context.Background(),
		resource.WithAttributes(semconv.ServiceName("duckwire"), semconv.ServiceVersion(version)), // what the environment says counts more
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil { // the rest will do
		logger.Warn("traces: not all that the environment says of this process is understood", "error", err)
	}
	exporter, err := otlptracehttp.New(context.Background())
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	// The queue is bounded (OTEL_BSP_MAX_QUEUE_SIZE, 2048), and drops what it has no room for: nobody ever waits for the collector.
	provider := sdk.NewTracerProvider(sdk.WithResource(res), sdk.WithBatcher(exporter))
	service, _ := res.Set().Value(semconv.ServiceNameKey)
	logger.Info("traces are sent", "to", to, "service", service.AsString(), "sampler", cmp.Or(os.Getenv("OTEL_TRACES_SAMPLER"), "parentbased_always_on"))
	return &Tracing{tracer: provider.Tracer("github.com/duckwire/duckwire"), provider: provider, exporter: exporter}, nil
}

// target checks what the SDK would pass over in silence, and returns where traces will go, for people; "": nowhere.
func target() (string, error) {
	text, variable := endpoint()
	if text == "" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" { // err would repeat the URL, which may hold a password
		return "", fmt.Errorf("%s must be a whole http or https URL, such as http://127.0.0.1:4318", variable)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		switch protocol := os.Getenv(name); protocol {
		case "":
			continue
		case "http/protobuf", "http/json":
		default:
			return "", fmt.Errorf("%s must be http/protobuf or http/json, which collectors take at port 4318; got %q", name, protocol)
		}
		break
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), nil
}

// Close sends what is left and returns when nothing of it runs any more. When ctx ends, what could not be sent is lost, and that is the error.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- t.provider.Shutdown(context.WithoutCancel(ctx)) }() // with ctx it would return, and leave a goroutine behind
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		_ = t.exporter.Shutdown(context.WithoutCancel(ctx)) // aborts what is under way; the rest of the queue fails at once
		<-done
		return fmt.Errorf("the last traces were not sent: %w", ctx.Err())
	}
}

// Of returns the place of a request in its trace, for hub.CompletionRequest and the like; nil: none.
func Of(ctx context.Context) any {
	if at := trace.SpanContextFromContext(ctx); at.IsValid() {
		return at
	}
	return nil
}

// Header returns what adds traceparent to a request, so that the upstream's spans continue ours.
func (t *Tracing) Header() func(context.Context, http.Header) {
	if t == nil {
		return nil
	}
	return func(ctx context.Context, h http.Header) { w3c.Inject(ctx, propagation.HeaderCarrier(h)) }
}
