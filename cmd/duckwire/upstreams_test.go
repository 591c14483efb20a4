package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/handlers"
)

// startUpstream runs an upstream that knows one key, lists one model, and says its name.
func startUpstream(t *testing.T, name, key string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer "+key:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/v1/models":
			fmt.Fprintf(w, `{"data":[{"id":"m-%s","context_length":8192}]}`, name)
		case r.URL.Path == "/v1/embeddings":
			fmt.Fprintf(w, `{"by":%q}`, name)
		default:
			fmt.Fprintf(w, `{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,`+
				`"message":{"role":"assistant","content":"I am %s"},"finish_reason":"stop"}]}`, name)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/v1"
}

// TestSeveralUpstreams runs a server with several upstreams: one serves a few models only, one is down, one takes
// another key, and one works.
func TestSeveralUpstreams(t *testing.T) {
	t.Parallel()
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	file := filepath.Join(t.TempDir(), "duckwire.yaml")
	text := fmt.Sprintf("upstreams:\n- {name: special, url: %q, key: k, models: [special*]}\n- {name: down, url: %q}\n"+
		"- {name: closed, url: %q, key: wrong}\n- {name: works, url: %q, key_env: WORKS_KEY}\n",
		startUpstream(t, "special", "k"), down.URL+"/v1", startUpstream(t, "closed", "right"),
		startUpstream(t, "works", "right"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{File: file, Environ: []string{
		"WORKS_KEY=right", "DUCKWIRE_DATA_DIR=" + t.TempDir(), "DUCKWIRE_JWT_SECRET=" + testSecret,
	}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := buildServer(&cfg.Config, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer a.close(quiet())
	srv := httptest.NewServer(a.handler)
	defer srv.Close()
	ask := func(method, path, body string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+lintToken(t, "root", "*=*"))
		r.Header.Set("Content-Type", "application/json")
		resp, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, _ := io.ReadAll(resp.Body)
		return resp.Status + " " + string(got)
	}
	const chat = `{"model":%q,"messages":[{"role":"user","content":"Who are you?"}]}`
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/v1/chat/completions", fmt.Sprintf(chat, "m"), "I am works"},
		{"POST", "/v1/embeddings", `{"model":"e","input":"x"}`, `200 OK {"by":"works"}`},
		{"POST", "/v1/embeddings", `{"model":"special-e","input":"x"}`, `200 OK {"by":"special"}`},
		{"GET", "/v1/models", "", `"data":[{"id":"m-works","context_length":8192,"object":"model","created":0,`},
		{"GET", "/v1/overview", "", `{"name":"works","host":"` + strings.TrimPrefix(srv.URL, "http://")[:9]},
		{"GET", "/v1/overview", "", `"healthy":false,"failures":1,"reason":"upstream_unauthorized: `},
		{"GET", "/v1/overview", "", `"healthy":false,"failures":1,"reason":"upstream_unreachable: `},
	} {
		if got := ask(c.method, c.path, c.body); !strings.Contains(got, c.want) {
			t.Errorf("%s %s: %s\nwant %s", c.method, c.path, got, c.want)
		}
	}
	var names []string
	for _, u := range doctorUpstreams(&cfg.Config) {
		names = append(names, u.Name)
	}
	if want := []string{"special", "down", "closed", "works"}; !slices.Equal(names, want) {
		t.Errorf("the doctor examines %q", names)
	}
	if !slices.Equal(cfg.UpstreamPaths, handlers.DefaultUpstreamPaths) {
		t.Errorf("upstream_paths is %q, and the handlers have %q", cfg.UpstreamPaths, handlers.DefaultUpstreamPaths)
	}
}
