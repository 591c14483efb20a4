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

// Attributes of what providers make. Those of gen_ai have left OpenTelemetry's general conventions for a place of their own, so they are named here.
const (
	keyOperation = attribute.Key("gen_ai.operation.name")          // chat, text_completion
	keyModel     = attribute.Key("gen_ai.request.model")           // as the request names it
	keyFinish    = attribute.Key("gen_ai.response.finish_reasons") // why the model stopped
	keyKind      = attribute.Key("duckwire.kind")                  // completion, analysis
	keyEnd       = attribute.Key("duckwire.end")                   // done, cancelled, too_large, panic, or an error's code
	keyTextBytes = attribute.Key("duckwire.text_bytes")            // of the first choice
	keyAnalysis  = attribute.Key("duckwire.analysis_type")
	keyFiles     = attribute.Key("duckwire.files")
	keyIssues    = attribute.Key("duckwire.issues")
)

// Provider returns p with a span around each completion, and each analysis where p analyses: a child of the request's that it was asked for in, which
// has mostly ended by then. One that came through a socket begins a trace: the socket's request may be hours old.
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

// Complete implements hub.Provider.
func (p *provider) Complete(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) (err error) {
	operation := "chat"
	if req.Kind == hub.TextCompletion {
		operation = "text_completion"
	}
	ctx, span := p.tracing.begin(ctx, "completion", req.Trace, req.RequestID, keyOperation.String(operation), keyModel.String(middleware.LogText(req.Model)))
	traced := &completionWriter{CompletionWriter: w, firsts: firsts{span: span}}
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

// analyzer is a provider that analyses, too.
type analyzer struct {
	provider
	hub.Analyzer
}

// Analyze implements hub.Analyzer.
func (p *analyzer) Analyze(ctx context.Context, req *hub.AnalysisRequest, w hub.AnalysisWriter) (err error) {
	ctx, span := p.tracing.begin(ctx, "analysis", req.Trace, req.RequestID, keyAnalysis.String(req.Type), keyFiles.Int(len(req.Files)))
	traced := &analysisWriter{AnalysisWriter: w, firsts: firsts{span: span}}
	ended := false
	defer func() {
		span.SetAttributes(keyIssues.Int(traced.issues))
		end(ctx, span, ended, err)
	}()
	err = p.Analyzer.Analyze(ctx, req, traced)
	ended = true
	return err
}

// begin begins a span. at is what Of returned for whoever asked.
func (t *Tracing) begin(ctx context.Context, kind string, at any, requestID string, attrs ...attribute.KeyValue) (context.Context, trace.Span) {
	if parent, ok := at.(trace.SpanContext); ok {
		ctx = trace.ContextWithSpanContext(ctx, parent)
	}
	attrs = append(attrs, keyKind.String(kind), keyRequest.String(middleware.LogText(requestID)))
	return t.tracer.Start(ctx, kind, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
}

// end ends a span. An error's words stay out: upstreams like to repeat what they were asked. Deferred itself, span.End would write down what a panic says.
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

// howEnded names the end of a provider's work. Why a stream was cancelled (by its client, a newer one, for want of watchers, by the server's stop) is the
// hub's to know: the log's line "stream ended" tells, with the same request id.
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

// word passes on what an upstream calls by one word, and nothing that could be a sentence of the prompt.
func word(s string) string {
	if s = middleware.LogText(s); wordShape.MatchString(s) {
		return s
	}
	return "other"
}
