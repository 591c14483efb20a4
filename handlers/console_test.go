package handlers_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
)

// firstPaint is how many compressed bytes the page may load before it shows something.
const firstPaint = 200 << 10

// TestConsole: the console's page needs no token, names no other host, and loads little. Browsers may cache the parts
// that it loads later for ever.
func TestConsole(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	packed := func(path string) (string, http.Header) {
		resp := s.do("GET", path, "", "Authorization: none", "Accept-Encoding: gzip")
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %s, %v, %v", path, resp.Status, resp.Header, err)
		}
		return string(raw), resp.Header
	}
	read := func(path string) string {
		resp := s.do("GET", path, "", "Authorization: none", "Accept-Encoding: identity")
		defer resp.Body.Close()
		raw, _ := io.ReadAll(resp.Body)
		return string(raw)
	}
	page, header := packed("/")
	const own = "default-src 'none'; script-src 'self';"
	policy := header.Get("Content-Security-Policy")
	if !strings.Contains(policy, own) || strings.Contains(policy, "http") {
		t.Errorf("Content-Security-Policy: %s", policy)
	}
	if header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("an address with a token goes on to others: %v", header)
	}
	html := read("/")
	if strings.Contains(strings.ReplaceAll(html, "http://www.w3.org/2000/svg", ""), "://") {
		t.Errorf("the page names another host:\n%s", html)
	}
	size := len(page)
	assets := regexp.MustCompile(`(?:src|href)="(console/[^"]+)"`).FindAllStringSubmatch(html, -1)
	for _, asset := range assets {
		body, _ := packed("/" + asset[1])
		size += len(body)
	}
	if len(assets) < 2 || size > firstPaint {
		t.Errorf("%d files and %d compressed bytes until the first paint; %d are allowed", len(assets), size, firstPaint)
	}
	parts := regexp.MustCompile(`part-\w+\.js`).FindAllString(read("/console/main.js"), -1)
	if len(parts) == 0 {
		t.Error("nothing is loaded later")
	}
	for _, part := range parts {
		if _, header := packed("/console/" + part); header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %v", part, header)
		}
	}
	if _, header := packed("/console/main.js"); strings.Contains(header.Get("Cache-Control"), "immutable") {
		t.Errorf("main.js keeps its name when it changes: %v", header)
	}
	if !strings.Contains(read("/console/LICENSES.txt"), "== preact") {
		t.Error("no licenses")
	}
	for _, path := range []string{"/console/nothing.js", "/console/index.html", "/console/..%2fdist%2fmain.js"} {
		s.expect(http.StatusNotFound, "GET", path, "", "Authorization: none")
	}
}
