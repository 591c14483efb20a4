package openai_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/openai"
)

// TestForward checks that request and answer pass as they are, without credentials of the other side.
func TestForward(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got := strings.Join([]string{
			r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Content-Type"), r.Header.Get("Accept"),
			r.Header.Get("Authorization"), r.Header.Get("X-Request-Id"), string(body),
		}, "|")
		if want := "POST|/v1/audio/speech|v=1|text/x|audio/mpeg|Bearer sk-key|r1|\x00\xff"; got != want {
			t.Errorf("got %q\nwant %q", got, want)
		}
		for name, value := range map[string]string{
			"Content-Type": "audio/mpeg", "X-Request-Id": "up", "Retry-After": "3", "X-RateLimit-Remaining-Tokens": "9",
			"Openai-Processing-Ms": "5", "Set-Cookie": "a=b", "Server": "x", "Keep-Alive": "5", "Www-Authenticate": "x",
		} {
			w.Header().Set(name, value)
		}
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte{0, 0xff, 'x'})
	}
	p := newProvider(t, openai.Options{BaseURL: upstream(t, h), Key: "sk-key"})
	resp, err := p.Forward(t.Context(), &hub.ForwardRequest{
		Method: "POST", Path: "audio/speech", Query: "v=1", ContentType: "text/x", Accept: "audio/mpeg", RequestID: "r1",
		Body: []byte{0, 0xff},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "\x00\xffx" || resp.Status != http.StatusTeapot || resp.Length != 3 {
		t.Errorf("%d, %d bytes, %q, %v", resp.Status, resp.Length, body, err)
	}
	want := []string{
		"Content-Type", "Openai-Processing-Ms", "Retry-After", "X-Ratelimit-Remaining-Tokens", "X-Request-Id",
	}
	if got := slices.Sorted(maps.Keys(resp.Header)); !slices.Equal(got, want) {
		t.Errorf("headers %q", got)
	}
}

func TestForwardFails(t *testing.T) {
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		code string
	}{
		"401": {
			func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "sk-key", http.StatusUnauthorized) },
			"upstream_unauthorized",
		},
		"redirect": {
			func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) },
			"upstream_redirect",
		},
		"cut": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "upstream_unreachable"},
	} {
		p := newProvider(t, openai.Options{BaseURL: upstream(t, c.h), Key: "sk-key"})
		_, err := p.Forward(t.Context(), &hub.ForwardRequest{Method: "POST", Path: "embeddings"})
		t.Log(name)
		providerError(t, err, http.StatusBadGateway, c.code)
	}
	entered := make(chan struct{})
	p := newProvider(t, openai.Options{BaseURL: upstream(t, func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	_, err := p.Forward(ctx, &hub.ForwardRequest{Method: "POST", Path: "embeddings"})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the caller's own end: %v", err)
	}
}

// TestForwardHidesKey checks that an error of the upstream passes without this server's key.
func TestForwardHidesKey(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	p := newProvider(t, openai.Options{Key: "sk-key", BaseURL: upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":{"message":"sk-key may not"}}`+long, http.StatusForbidden)
	})})
	resp, err := p.Forward(t.Context(), &hub.ForwardRequest{Method: "POST", Path: "embeddings"})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	want := `{"error":{"message":"*** may not"}}` + long + "\n"
	if err != nil || string(body) != want || resp.Status != 403 || resp.Length != -1 {
		t.Errorf("%d, %d, %.60s, %v", resp.Status, resp.Length, body, err)
	}
}
