package handlers_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/middleware"
)

// TestBasePath: below a base path every path works with it and without it, and absolute paths in answers have it. The
// base path is that of the configuration, or the one that a trusted proxy names; nobody else's header counts.
func TestBasePath(t *testing.T) {
	trusted, err := middleware.ParseProxies([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, configured, header string
		proxies                  *middleware.Proxies
		base                     string
	}{
		{"configured", "/duck", "", nil, "/duck"},
		{"from a trusted proxy", "", "/pond/duck/", trusted, "/pond/duck"},
		{"a trusted proxy knows better", "/duck", "/pond", trusted, "/pond"},
		{"from anybody", "/duck", "/evil", nil, "/duck"},
		{"from anybody, at the root", "", "/evil", nil, ""},
		{"no path", "/duck", `//evil.example/"`, trusted, "/duck"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) {
				o.BasePath, o.Proxies = c.configured, c.proxies
			})
			s.plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			get := func(method, path, body string) (*http.Response, string) {
				t.Helper()
				req := s.request(method, path, body)
				if c.header != "" {
					req.Header.Set("X-Forwarded-Prefix", c.header)
				}
				resp, err := s.plain.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, _ := io.ReadAll(resp.Body)
				return resp, string(text)
			}
			for _, under := range []string{c.base, ""} {
				resp, _ := get("POST", under+"/v1/streams", `{"kind":"x"}`)
				if to := resp.Header.Get("Location"); !strings.HasPrefix(to, c.base+"/v1/streams/") {
					t.Errorf("Location %q (%s) under %q", to, resp.Status, under)
				}
				for path, want := range map[string]int{
					"/": 200, "/docs": 200, "/docs/docs.js": 200, "/console/main.js": 200, "/readyz": 200,
					"/v1/topics/code%2Fa/events": 200, "/docs/": 307, "/v1/nothing": 404,
				} {
					if resp, text := get("GET", under+path, ""); resp.StatusCode != want {
						t.Errorf("%s%s: %s %.200s, want %d", under, path, resp.Status, text, want)
					}
				}
				for _, page := range []string{"/", "/docs"} {
					if _, text := get("GET", under+page, ""); strings.Contains(text, `="/`) {
						t.Errorf("%s has an absolute path: %s", page, text)
					}
				}
			}
			if c.base == "" {
				return
			}
			if resp, _ := get("GET", c.base+"?token=x", ""); resp.Header.Get("Location") != c.base+"/?token=x" {
				t.Errorf("%s leads to %q", c.base, resp.Header.Get("Location"))
			}
			if resp, _ := get("GET", c.base+"-other/readyz", ""); resp.StatusCode != 404 {
				t.Errorf("a path that only begins like it: %s", resp.Status)
			}
		})
	}
}
