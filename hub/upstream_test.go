package hub_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// forwarder is a provider that passes requests on, and has an upstream.
type forwarder struct{ hub.Provider }

func (forwarder) Forward(_ context.Context, req *hub.ForwardRequest) (*hub.ForwardResponse, error) {
	if req.Path == "down" {
		return nil, errors.New("down")
	}
	return &hub.ForwardResponse{Status: http.StatusTeapot}, nil
}

func (forwarder) Upstreams() []hub.UpstreamStatus { return []hub.UpstreamStatus{{Name: "a"}} }

// wrapper hides what its provider can do besides completions, as that of package tracing does.
type wrapper struct{ hub.Provider }

func (w wrapper) Unwrap() hub.Provider { return w.Provider }

func TestForward(t *testing.T) {
	h := hub.New(hub.Options{Provider: wrapper{wrapper{forwarder{}}}})
	defer h.Close()
	if resp, err := h.Forward(t.Context(), &hub.ForwardRequest{}); err != nil || resp.Status != http.StatusTeapot {
		t.Errorf("%v, %v", resp, err)
	}
	if _, err := h.Forward(t.Context(), &hub.ForwardRequest{Path: "down"}); err == nil {
		t.Error("no error")
	}
	if list := h.Upstreams(); len(list) != 1 || list[0].Name != "a" {
		t.Errorf("%+v", list)
	}
	h.Drain(t.Context())
	if _, err := h.Forward(t.Context(), &hub.ForwardRequest{}); !errors.Is(err, errs.ErrClosed) {
		t.Errorf("while draining: %v", err)
	}
}

func TestForwardWithoutUpstream(t *testing.T) {
	for _, p := range []hub.Provider{nil, wrapper{}} {
		h := hub.New(hub.Options{Provider: p})
		var e *hub.ProviderError
		const want = "the built-in completer has no rerank; set DUCKWIRE_UPSTREAM_URL to an OpenAI-compatible server " +
			"that has"
		_, err := h.Forward(t.Context(), &hub.ForwardRequest{Path: "rerank"})
		if !errors.As(err, &e) || e.Status != 404 || e.Message != want {
			t.Errorf("%v", err)
		}
		if h.Upstreams() != nil {
			t.Error("there is an upstream")
		}
		h.Close()
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		seconds, ms string
		want        time.Duration
	}{
		{"", "", 0},
		{"90", "", 90 * time.Second},
		{"0.5", "", 500 * time.Millisecond},
		{"0", "", time.Millisecond},
		{"90", "250", 250 * time.Millisecond},
		{"Tue, 01 Dec 2026 12:00:30 GMT", "", 30 * time.Second},
		{"Tue, 01 Dec 2026 11:00:00 GMT", "", time.Millisecond},
		{"1h5", "", 0},
		{"-3", "", 0},
		{"soon", "x", 0},
	} {
		h := http.Header{}
		h.Set("Retry-After", c.seconds)
		h.Set("Retry-After-Ms", c.ms)
		if got := hub.RetryAfter(h, now); got != c.want {
			t.Errorf("%q, %q: %v; want %v", c.seconds, c.ms, got, c.want)
		}
	}
}
