package hub

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// A Forwarder is a Provider that also passes other requests to its upstream as they are, such as those for embeddings.
//
// Forward returns the upstream's answer whatever its status is, but for 401, which is about this server's own key. The
// caller must close the answer's body. When ctx ends, the request is aborted, and reading the body fails. Errors:
// ctx's, or a *ProviderError as of Provider.Complete. Safe for concurrent use.
type Forwarder interface {
	Forward(ctx context.Context, req *ForwardRequest) (*ForwardResponse, error)
}

// ForwardRequest is a request that is passed to an upstream.
type ForwardRequest struct {
	Method      string
	Path        string // below the upstream's base URL, such as "embeddings"
	Query       string // without "?"; "": none
	ContentType string // "": none
	Accept      string // "": none
	Body        []byte
	Model       string // the model that the body names, which decides among several upstreams; "": none
	RequestID   string // sent to the upstream as X-Request-Id; "": none
}

// ForwardResponse is an upstream's answer. Header has no cookies, and nothing that concerns one connection only.
type ForwardResponse struct {
	Status int
	Header http.Header
	Length int64 // of Body; -1: unknown
	Body   io.ReadCloser
}

// RetryAfter parses OpenAI's retry-after-ms, or Retry-After in seconds or as a date (RFC 9110 §10.2.3). It returns 0
// if there is neither.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 && ms < 1e9 {
		return time.Duration(ms * float64(time.Millisecond))
	}
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds < 1e6 {
		// 0 in the header means at once, and 0 as a result means none
		return max(time.Duration(seconds*float64(time.Second)), time.Millisecond)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), time.Millisecond)
	}
	return 0
}

// Forward passes a request to the provider's upstream. Errors: ErrClosed while draining, a *ProviderError with status
// 404 if the provider has no upstream, and those of Forwarder.
func (h *Hub) Forward(ctx context.Context, req *ForwardRequest) (*ForwardResponse, error) {
	if h.IsDraining() {
		return nil, errs.ErrClosed
	}
	f, ok := as[Forwarder](h.provider)
	if !ok {
		return nil, &ProviderError{
			Status: http.StatusNotFound, Code: "no_upstream", Type: "invalid_request_error",
			Message: fmt.Sprintf("the built-in completer has no %s; set DUCKWIRE_UPSTREAM_URL to an "+
				"OpenAI-compatible server that has", req.Path),
		}
	}
	resp, err := f.Forward(ctx, req)
	if err != nil && ctx.Err() == nil {
		h.counts.providerError(err)
	}
	return resp, err
}

// UpstreamStatus is the state of one upstream as this node sees it.
type UpstreamStatus struct {
	Name    string
	Host    string   // of its URL, with the port; the rest of the URL may be secret
	Dialect string   // as configured; "": found out
	Models  []string // patterns of the models that it serves; none: every model

	Healthy  bool
	Failures int       // requests that failed since the last one that did not
	Reason   string    // why it is not healthy; ""
	Since    time.Time // when it became healthy or not; zero: it was not asked yet

	Learned []string // what was found out about it, such as "refuses stream_options"
}

// Upstreams returns the state of the provider's upstreams in the order in which they are asked; none if it has none.
func (h *Hub) Upstreams() []UpstreamStatus {
	if p, ok := as[interface{ Upstreams() []UpstreamStatus }](h.provider); ok {
		return p.Upstreams()
	}
	return nil
}

// as returns p as a T, or what p wraps: a wrapper has the method Unwrap() Provider.
func as[T any](p Provider) (T, bool) {
	for p != nil {
		if t, ok := p.(T); ok {
			return t, true
		}
		wrapper, ok := p.(interface{ Unwrap() Provider })
		if !ok {
			break
		}
		p = wrapper.Unwrap()
	}
	var none T
	return none, false
}
