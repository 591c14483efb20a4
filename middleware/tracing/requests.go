//go:build otlp

package tracing

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/duckwire/duckwire/middleware"
)

// Attributes of requests that no convention defines.
const (
	keyRequest = attribute.Key("duckwire.request_id") // the request_id in the log
	keyStream  = attribute.Key("duckwire.stream")     // the stream that the response belongs to
	keyLasting = attribute.Key("duckwire.lasting")    // the response went on after the span
)

// Requests creates a span for each request, as a child of the span in its traceparent. Probes get no span, since most
// spans would be theirs.
//
// The span of a long response (an event stream, NDJSON, a WebSocket) ends when its header is sent. Until then it
// measures how long the client waited for an answer. A span that ends after hours would be invisible until then, would
// be dropped by many backends as too old, and would be lost with the process. The total duration is in the access log,
// and the completion has its own span.
func (t *Tracing) Requests() func(http.Handler) http.Handler {
	if t == nil {
		return nil
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/healthz", "/readyz", "/metrics":
				next.ServeHTTP(w, r)
			default:
				t.serve(next, w, r)
			}
		})
	}
}

func (t *Tracing) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	s := &requestSpan{request: r}
	ctx := w3c.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	_, s.span = t.tracer.Start(ctx, spanName(r, ""), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(requestAttributes(r)...))
	// The context has the span context and not the span, which would stay in memory for the duration of the response.
	s.request = r.WithContext(trace.ContextWithSpanContext(r.Context(), s.span.SpanContext()))
	w, status := middleware.Observe(w, func() {
		s.span.SetAttributes(keyLasting.Bool(true))
		s.end(s.status(false), w.Header())
	})
	s.status = status
	aborted := true
	defer func() { s.end(status(aborted), w.Header()) }()
	next.ServeHTTP(w, s.request)
	aborted = false
}

// requestSpan is a request and its span.
type requestSpan struct {
	request *http.Request
	status  func(aborted bool) int
	span    trace.Span // nil: ended
}

// end records the outcome and ends the span. Only the first call has an effect.
func (s *requestSpan) end(status int, header http.Header) {
	if s.span == nil {
		return
	}
	span := s.span
	s.span = nil
	if route := middleware.RoutePattern(s.request); route != "" { // the router sets it while it serves the request
		span.SetName(spanName(s.request, route))
		span.SetAttributes(semconv.HTTPRoute(route))
	}
	if stream := header.Get("Duckwire-Stream"); stream != "" {
		span.SetAttributes(keyStream.String(stream))
	}
	if status > 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	}
	switch {
	case status >= 500:
		span.SetStatus(codes.Error, "")
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(status)))
	case status == 0:
		span.SetStatus(codes.Error, "aborted")
		span.SetAttributes(semconv.ErrorTypeKey.String("aborted"))
	}
	span.End()
}

// requestAttributes returns the attributes that are known before the request is served. The query is left out, as it
// may contain credentials.
func requestAttributes(r *http.Request) []attribute.KeyValue {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	attrs := append(make([]attribute.KeyValue, 0, 7),
		semconv.HTTPRequestMethodKey.String(methodOf(r)), semconv.URLPath(middleware.LogText(r.URL.Path)),
		semconv.URLScheme(scheme),
		semconv.NetworkProtocolVersion(strconv.Itoa(r.ProtoMajor)+"."+strconv.Itoa(r.ProtoMinor)),
		keyRequest.String(middleware.RequestIDFrom(r.Context())))
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	attrs = append(attrs, semconv.ServerAddress(middleware.LogText(host)))
	if agent := r.UserAgent(); agent != "" {
		attrs = append(attrs, semconv.UserAgentOriginal(middleware.LogText(agent)))
	}
	return attrs
}

const otherMethod = "_OTHER"

// methodOf returns the request's method, or _OTHER for unknown methods, as the conventions require.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions, http.MethodTrace, http.MethodConnect:
		return r.Method
	}
	return otherMethod
}

// spanName returns the method and, if it is known, the route.
func spanName(r *http.Request, route string) string {
	method := methodOf(r)
	if method == otherMethod {
		method = "HTTP" // as the conventions require
	}
	return strings.TrimSpace(method + " " + route)
}
