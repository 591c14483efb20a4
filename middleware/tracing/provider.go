//go:build otlp

package tracing

import (
	"context"
	"errors"
	"regexp"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware"
)

// Attributes of providers' spans. Those of gen_ai were moved out of OpenTelemetry's general conventions, so they are
// defined here.
const (
	keyOperation = attribute.Key("gen_ai.operation.name")          // chat, text_completion
	keyModel     = attribute.Key("gen_ai.request.model")           // as the request names it
	keyFinish    = attribute.Key("gen_ai.response.finish_reasons") // why the model stopped
	keyKind      = attribute.Key("duckwire.kind")                  // completion, analysis
	// done, cancelled, too_large, panic, or an error's code
	keyEnd       = attribute.Key("duckwire.end")
	keyTextBytes = attribute.Key("duckwire.text_bytes") // of the first choice
	keyAnalysis  = attribute.Key("duckwire.analysis_type")
	keyFiles     = attribute.Key("duckwire.files")
	keyIssues    = attribute.Key("duckwire.issues")
)

// Provider wraps p with a span for each completion and, if p is an Analyzer, for each analysis. The span is a child of
// the span of the request that asked for it, which has usually ended by then. One that was asked for through a socket
// starts a new trace: the socket's request may be hours old.
func (t *Tracing) Provider(p hub.Provider) hub.Provider {
	if t == nil {
		return p
	}
	own := provider{p, t}
	if a, ok := p.(hub.Analyzer); ok {
		return &analyzer{own, a}
	}
	return &own
}

type provider struct {
	hub.Provider
	tracing *Tracing
}

// Unwrap returns the provider, for what has no span: forwarded requests and the state of upstreams.
func (p *provider) Unwrap() hub.Provider { return p.Provider }

// Complete implements hub.Provider.
func (p *provider) Complete(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) (err error) {
	operation := "chat"
	if req.Kind == hub.TextCompletion {
		operation = "text_completion"
	}
	ctx, span := p.tracing.begin(ctx, "completion", req.Trace, req.RequestID, keyOperation.String(operation),
		keyModel.String(middleware.LogText(req.Model)))
	traced := &completionWriter{CompletionWriter: w, spanEvents: spanEvents{span: span}}
	ended := false
	defer func() {
		span.SetAttributes(keyTextBytes.Int(traced.bytes))
		if traced.reason != "" {
			span.SetAttributes(keyFinish.StringSlice([]string{word(traced.reason)}))
		}
		end(ctx, span, ended, err)
	}()
	err = p.Provider.Complete(ctx, req, traced)
	ended = true
	return err
}

// analyzer is a provider that also implements hub.Analyzer.
type analyzer struct {
	provider
	hub.Analyzer
}

// Analyze implements hub.Analyzer.
func (p *analyzer) Analyze(ctx context.Context, req *hub.AnalysisRequest, w hub.AnalysisWriter) (err error) {
	ctx, span := p.tracing.begin(ctx, "analysis", req.Trace, req.RequestID, keyAnalysis.String(req.Type),
		keyFiles.Int(len(req.Files)))
	traced := &analysisWriter{AnalysisWriter: w, spanEvents: spanEvents{span: span}}
	ended := false
	defer func() {
		span.SetAttributes(keyIssues.Int(traced.issues))
		end(ctx, span, ended, err)
	}()
	err = p.Analyzer.Analyze(ctx, req, traced)
	ended = true
	return err
}

// begin starts a span. at is what Of returned for the request.
func (t *Tracing) begin(
	ctx context.Context, kind string, at any, requestID string, attrs ...attribute.KeyValue,
) (context.Context, trace.Span) {
	if parent, ok := at.(trace.SpanContext); ok {
		ctx = trace.ContextWithSpanContext(ctx, parent)
	}
	attrs = append(attrs, keyKind.String(kind), keyRequest.String(middleware.LogText(requestID)))
	return t.tracer.Start(ctx, kind, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
}

// end ends a span. It does not record error messages, since upstreams often quote the prompt in them. span.End must not
// be deferred directly: it would record a panic's value.
func end(ctx context.Context, span trace.Span, returned bool, err error) {
	how, failed := "panic", true
	if returned {
		how, failed = howEnded(ctx, err)
	}
	span.SetAttributes(keyEnd.String(how))
	if failed {
		span.SetStatus(codes.Error, how)
		span.SetAttributes(semconv.ErrorTypeKey.String(how))
	}
	span.End()
}

// howEnded returns the outcome of a provider's call. Why a stream was cancelled (by its client, by a newer one, for
// lack of watchers, by a shutdown) is in the log line "stream ended" with the same request id.
func howEnded(ctx context.Context, err error) (how string, failed bool) {
	var p *hub.ProviderError
	switch {
	case err == nil:
		return "done", false
	case errors.Is(err, errs.ErrTooLarge):
		return "too_large", true
	case ctx.Err() != nil, errors.Is(err, errs.ErrClosed):
		return "cancelled", false
	case errors.As(err, &p):
		return word(p.Code), true
	}
	return "provider_error", true
}

var wordShape = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// word returns s if it is a single identifier, and "other" for anything that could be a part of the prompt.
func word(s string) string {
	if s = middleware.LogText(s); wordShape.MatchString(s) {
		return s
	}
	return "other"
}
