package handlers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/openai"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// startForwarding starts a server whose upstream has this handler.
func startForwarding(t *testing.T, h http.HandlerFunc, change func(*handlers.Options)) *testServer {
	t.Helper()
	up := httptest.NewServer(h)
	t.Cleanup(up.Close)
	p, err := openai.New(openai.Options{BaseURL: up.URL + "/v1", Key: "sk-upstream"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return startServer(t, p, hub.Limits{}, change)
}

// post sends a JSON body, and returns the answer with its body.
func post(t *testing.T, s *testServer, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	return whole(t, s.do("POST", path, body, append(headers, "Content-Type: application/json")...))
}

func whole(t *testing.T, resp *http.Response) (*http.Response, string) {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s: %v", resp.Request.URL, err)
	}
	return resp, string(body)
}

// TestForwardPassesAsItIs checks for each default path that the request's bytes and the answer's pass unchanged, and
// that no credential or cookie of one side reaches the other.
func TestForwardPassesAsItIs(t *testing.T) {
	const media = `multipart/form-data; boundary="b"`
	sent := []byte("--b\r\n\x00\xff{ \"model\": \"<m>\" }")
	s := startForwarding(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || r.URL.RawQuery != "v=1&v=2" || r.Header.Get("Content-Type") != media ||
			!bytes.Equal(body, sent) || r.Header.Get("Authorization") != "Bearer sk-upstream" ||
			r.Header.Get("Cookie") != "" || r.Header.Get("X-Request-Id") != "mine" || r.Header.Get("X-Other") != "" {
			t.Errorf("%s %s %v %q", r.Method, r.URL, r.Header, body)
		}
		w.Header().Set("Content-Type", "audio/mpeg")
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Retry-After", "7")
		w.Header().Set("Openai-Processing-Ms", "5")
		w.Header().Set("X-Request-Id", "theirs")
		_, _ = fmt.Fprintf(w, "%s\x00\xff", r.URL.Path)
	}, nil)
	for _, path := range handlers.DefaultUpstreamPaths {
		r := s.request("POST", "/v1/"+path+"?v=1&token=abc&v=2", string(sent), "Content-Type: "+media, "Cookie: c=d",
			"X-Request-Id: mine", "X-Other: x")
		answer, err := s.plain.Do(r) // openapi.yaml cannot tell of every media type and parameter
		if err != nil {
			t.Fatal(err)
		}
		resp, body := whole(t, answer)
		h := resp.Header
		if resp.StatusCode != 200 || body != "/v1/"+path+"\x00\xff" || h.Get("Content-Type") != "audio/mpeg" ||
			h.Get("Set-Cookie") != "" || h.Get("Retry-After") != "7" || h.Get("X-Request-Id") != "theirs" ||
			h.Get("Openai-Processing-Ms") != "5" {
			t.Errorf("%s: %s %v %q", path, resp.Status, h, body)
		}
	}
}

// TestForwardRefuses checks what is answered here, without the upstream.
func TestForwardRefuses(t *testing.T) {
	asked := make(chan struct{}, 10)
	s := startForwarding(t, func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		_, _ = io.WriteString(w, "plain")
	}, func(o *handlers.Options) {
		o.BodyBytes, o.Rates = 100, ratelimit.Limits{HeavyPerMinute: 1}
	})
	for name, c := range map[string]struct {
		path, body string
		headers    []string
		status     int
		code       string
	}{
		"no token":     {"/v1/embeddings", "{}", []string{"Authorization: Bearer no"}, 401, "unauthorized"},
		"no right":     {"/v1/embeddings", "{}", []string{as(t, "ada", "a=subscribe")}, 403, "forbidden"},
		"too large":    {"/v1/embeddings", strings.Repeat("x", 101), []string{as(t, "bob", "*=*")}, 413, "too_large"},
		"another path": {"/v1/embeddings/x", "{}", nil, 404, "no_such_path"},
	} {
		resp, body := post(t, s, c.path, c.body, c.headers...)
		if resp.StatusCode != c.status || !strings.Contains(body, `"`+c.code+`"`) {
			t.Errorf("%s: %s %s; want %d %s", name, resp.Status, body, c.status, c.code)
		}
	}
	if resp, _ := post(t, s, "/v1/embeddings", "{}"); resp.StatusCode != 200 {
		t.Errorf("the first: %s", resp.Status)
	}
	if resp, body := post(t, s, "/v1/embeddings", "{}"); resp.StatusCode != 429 ||
		!strings.Contains(body, `{"error":{"message":`) || resp.Header.Get("Retry-After") == "" {
		t.Errorf("over the rate: %s %s", resp.Status, body)
	}
	if len(asked) != 1 {
		t.Errorf("the upstream was asked %d times", len(asked))
	}
}

func TestForwardWithoutUpstream(t *testing.T) {
	s := startServer(t, scripted(hello), hub.Limits{}, nil)
	resp, body := post(t, s, "/v1/embeddings", "{}")
	if resp.StatusCode != 404 || !strings.Contains(body, `"code":"no_upstream"`) ||
		!strings.Contains(body, "the built-in completer has no embeddings; set DUCKWIRE_UPSTREAM_URL") {
		t.Errorf("%s %s", resp.Status, body)
	}
}

// TestForwardErrors checks that the upstream's errors pass, but for the one about this server's key.
func TestForwardErrors(t *testing.T) {
	status := 200
	s := startForwarding(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"detail":[{"loc":["body"]}]}`)
	}, nil)
	for _, path := range handlers.DefaultUpstreamPaths {
		resp, body := post(t, s, "/v1/"+path, "{}")
		if resp.StatusCode != 200 || body != `{"detail":[{"loc":["body"]}]}` {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
	for _, status = range []int{400, 403, 404, 422, 429, 500, 503} {
		resp, body := post(t, s, "/v1/rerank", "{}")
		if resp.StatusCode != status || body != `{"detail":[{"loc":["body"]}]}` {
			t.Errorf("%d: %s %s", status, resp.Status, body)
		}
	}
	status = 401
	resp, body := post(t, s, "/v1/rerank", "{}")
	if resp.StatusCode != 502 || !strings.Contains(body, `"code":"upstream_unauthorized"`) {
		t.Errorf("401: %s %s", resp.Status, body)
	}
}

// TestForwardEnds checks that the upstream's request ends with the client's, and at the timeout.
func TestForwardEnds(t *testing.T) {
	entered, ended := make(chan struct{}, 2), make(chan struct{}, 2)
	hang := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		entered <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	}
	s := startForwarding(t, hang, nil)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		r, _ := http.NewRequestWithContext(ctx, "POST", s.URL+"/v1/embeddings", strings.NewReader("{}"))
		r.Header.Set("Authorization", "Bearer "+token(t, "ada", "*=*"))
		resp, err := s.plain.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	waitFor(t, entered, "the request")
	cancel()
	waitFor(t, ended, "its end")
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}

	s = startForwarding(t, hang, func(o *handlers.Options) { o.UpstreamAnswerTimeout = 20 * time.Millisecond })
	resp, body := post(t, s, "/v1/embeddings", "{}")
	if resp.StatusCode != 504 || !strings.Contains(body, `"code":"upstream_timeout"`) {
		t.Errorf("%s %s", resp.Status, body)
	}
}

// TestForwardBreaksOff checks that a client can tell an answer that broke off from a whole one.
func TestForwardBreaksOff(t *testing.T) {
	s := startForwarding(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, nil)
	resp := s.do("POST", "/v1/audio/speech", "{}", "Content-Type: application/octet-stream")
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the client takes %q for the whole answer", body)
	}
}

// TestForwardOtherPaths checks a list of one's own: every method, and no path of the server itself.
func TestForwardOtherPaths(t *testing.T) {
	s := startForwarding(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path)
	}, func(o *handlers.Options) { o.UpstreamPaths = []string{"files", "overview"} })
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/v1/files", "GET /v1/files"},
		{"DELETE", "/v1/files", "DELETE /v1/files"},
		{"GET", "/v1/overview", `"log_bytes"`},
		{"POST", "/v1/embeddings", "no_such_path"},
	} {
		r, _ := http.NewRequestWithContext(t.Context(), c.method, s.URL+c.path, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token(t, "root", "*=*"))
		resp, err := s.plain.Do(r) // openapi.yaml does not describe these paths
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(body), c.want) {
			t.Errorf("%s %s: %s %s", c.method, c.path, resp.Status, body)
		}
	}
}
