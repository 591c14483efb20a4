package handlers_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
)

// TestDocsNeedNothingElse: the reader of the API description needs no token, and loads nothing from other hosts.
func TestDocsNeedNothingElse(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	page := s.do("GET", "/docs", "", "Authorization: none")
	defer page.Body.Close()
	html, _ := io.ReadAll(page.Body)
	if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") ||
		strings.Contains(policy, "http") {
		t.Errorf("Content-Security-Policy: %s", policy)
	}
	if strings.Contains(string(html), "://") {
		t.Errorf("the page names another host:\n%s", html)
	}
	assets := regexp.MustCompile(`(?:src|href)="([^":]+)"`).FindAllStringSubmatch(string(html), -1)
	if len(assets) < 3 {
		t.Errorf("only %d files are loaded:\n%s", len(assets), html)
	}
	for _, asset := range assets {
		s.expect(http.StatusOK, "GET", "/"+asset[1], "", "Authorization: none")
	}
	for _, license := range []string{"LICENSE.redoc", "redoc.standalone.js.LICENSE.txt"} {
		s.expect(http.StatusOK, "GET", "/docs/"+license, "", "Authorization: none")
	}
}

// TestDocsAreRevalidated: files that a browser has cached are not sent again.
func TestDocsAreRevalidated(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	for _, path := range []string{"/docs", "/docs/docs.js", "/openapi.yaml", "/", "/console/main.js"} {
		etag := s.expect(http.StatusOK, "GET", path, "").Header.Get("ETag")
		for header, status := range map[string]int{
			etag: 304, strings.TrimPrefix(etag, "W/"): 304, `"other", ` + etag: 304, "*": 304, `"other"`: 200,
			strings.Trim(etag, `W/"`): 200,
		} {
			if got := s.expect(status, "GET", path, "", "If-None-Match: "+header).Header.Get("ETag"); got != etag {
				t.Errorf("%s, If-None-Match %s: ETag %s, want %s", path, header, got, etag)
			}
		}
	}
}

// TestDocsAreCompressed: the compressed and the plain response have the same content.
func TestDocsAreCompressed(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	read := func(accept string) (encoding, body string) {
		// an explicit Accept-Encoding, so that the transport does not decompress the response
		resp := s.do("GET", "/openapi.yaml", "", "Accept-Encoding: "+accept)
		defer resp.Body.Close()
		if resp.ContentLength <= 0 {
			t.Errorf("Accept-Encoding %s: Content-Length %d", accept, resp.ContentLength)
		}
		encoding = resp.Header.Get("Content-Encoding")
		r := io.Reader(resp.Body)
		if encoding == "gzip" {
			zipped, err := gzip.NewReader(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			r = zipped
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		return encoding, string(raw)
	}
	_, plain := read("identity")
	for accept, want := range map[string]string{
		"gzip": "gzip", "br, GZIP;q=0.5": "gzip", "gzip;q=0": "", "identity;q=1, gzip; q=0.0": "", "br": "",
		"x-gzip-not": "",
	} {
		if encoding, body := read(accept); encoding != want || body != plain {
			t.Errorf("Accept-Encoding %s: %q, %d bytes of %d", accept, encoding, len(body), len(plain))
		}
	}
}
