package middleware_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/middleware"
)

// TestOrigins checks which Origin headers an entry matches.
func TestOrigins(t *testing.T) {
	for _, c := range []struct{ entry, yes, no string }{
		{
			"https://app.example.com", "https://app.example.com https://APP.example.com",
			"http://app.example.com https://example.com https://app.example.com:444 https://app.example.com. " +
				"https://app.example.com/ https://app.example.com/x https://app.example.com.evil.example null",
		},
		{" HTTPS://App.Example.com/ ", "https://app.example.com", "https://app.example.com:80"},
		{"https://app.example.com:443", "https://app.example.com", "http://app.example.com https://app.example.com:80"},
		{"http://app.example.com:80", "http://app.example.com", "https://app.example.com"},
		{"http://app.example.com:08080", "http://app.example.com:8080", "http://app.example.com"},
		{
			"https://*.example.com", "https://a.example.com https://a.b.example.com",
			"https://example.com https://.example.com https://aexample.com http://a.example.com " +
				"https://a.example.com:8443 https://a.example.com.evil.example https://*.example.com",
		},
		{"https://*.example.com:8443", "https://a.example.com:8443", "https://a.example.com"},
		{"http://*.example.com:80", "http://a.example.com", "http://a.example.com:8080"},
		{
			"http://localhost:*", "http://localhost http://localhost:5173 http://localhost:65535",
			"https://localhost http://localhost.evil.example http://127.0.0.1 http://localhost:*",
		},
		{"http://*.localhost:*", "http://a.localhost:3000 http://a.localhost", "http://localhost:3000"},
		{"http://127.0.0.1:*", "http://127.0.0.1:3000", "http://127.0.0.2:3000"},
		{"http://[::1]:*", "http://[::1]:3000 http://[::1]", "http://[::2]"},
		{"http://[0:0::1]:3000", "http://[::1]:3000", "http://[::1]"},
		{"http://[::ffff:102:304]", "http://[::ffff:102:304] http://[::ffff:1.2.3.4]", "http://1.2.3.4"},
		{"vscode-webview://*", "vscode-webview://0f3a-1b vscode-webview://x", "https://x vscode-webview://x:1"},
		{"app://obsidian.md", "app://obsidian.md", "https://obsidian.md"},
		{"capacitor://localhost", "capacitor://localhost", "capacitor://localhost:80"},
		{"chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop", "chrome-extension://x"},
		{"https://my_host.example", "https://my_host.example", ""},
		{"*", "", "https://app.example.com null"}, // any, but not by its name
	} {
		if err := middleware.CheckOrigin(c.entry); err != nil {
			t.Errorf("%q: %v", c.entry, err)
			continue
		}
		o := middleware.NewOrigins([]string{c.entry})
		for _, origin := range strings.Fields(c.yes) {
			if !o.Named(origin) {
				t.Errorf("%q does not allow %q", c.entry, origin)
			}
		}
		for _, origin := range strings.Fields(c.no) {
			if o.Named(origin) {
				t.Errorf("%q allows %q", c.entry, origin)
			}
		}
	}
}

// TestOriginsRefused: what no browser's Origin can match is refused, and the error names the entry and the reason.
func TestOriginsRefused(t *testing.T) {
	for entry, want := range map[string]string{
		"":                                "scheme",
		"null":                            "sandboxed",
		"app.example.com":                 "scheme",
		"localhost:3000":                  "scheme",
		"*.example.com":                   "scheme",
		"*://example.com":                 "scheme",
		"://example.com":                  "scheme",
		"1http://example.com":             "scheme",
		"https://":                        "no host",
		"https://:443":                    "no host",
		"file:///":                        "no host",
		"https://app.example.com/app":     "no path",
		"https://app.example.com//":       "no path",
		"https://app.example.com/*":       "no path",
		"https://app.example.com?x":       "no path",
		"https://app.example.com#x":       "no path",
		`https:\\app.example.com`:         "scheme",
		`https://app.example.com\x`:       "no path",
		"https://ada@app.example.com":     "no user",
		"https://a:b@app.example.com":     "no user",
		"https://app.example.com:":        "port",
		"https://app.example.com:0":       "port",
		"https://app.example.com:65536":   "port",
		"https://app.example.com:http":    "port",
		"https://app.example.com:80*":     "port",
		"https://a:1:2":                   "host",
		"https://app.*.com":               "wildcard",
		"https://a*.example.com":          "wildcard",
		"https://*example.com":            "wildcard",
		"https://*.*.example.com":         "wildcard",
		"https://**":                      "wildcard",
		"https://*":                       "every site",
		"http://*:*":                      "every site",
		"https://*.":                      "empty part",
		"https://a..b":                    "empty part",
		"https://.example.com":            "empty part",
		"https://*.127.0.0.1":             "IPv4",
		"http://127.1":                    "IPv4",
		"http://1.2.3.4.":                 "IPv4",
		"http://[::1":                     "IPv6",
		"http://[1.2.3.4]":                "IPv6",
		"http://[fe80::1%25eth0]":         "IPv6",
		"http://[::1]x":                   "IPv6",
		"https://bücher.example":          "ASCII",
		"https://app example.com":         "host has",
		"https://app.example.com,https:x": "port",
		"https://app%2eexample.com":       "host has",
	} {
		err := middleware.CheckOrigin(entry)
		names := fmt.Sprintf("%q must be an origin", entry)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), names) {
			t.Errorf("%q: %v; want …%s…", entry, err, want)
		}
		lenient := middleware.NewOrigins([]string{entry})
		if !lenient.Empty() || lenient.Named(entry) {
			t.Errorf("%q is allowed all the same", entry)
		}
	}
}

// FuzzOrigins: an entry without a wildcard that is accepted matches itself, as a browser writes it; and an Origin that
// matches names no other host than those that the entry covers.
func FuzzOrigins(f *testing.F) {
	for _, entry := range []string{
		"https://app.example.com:443", "https://*.example.com", "http://localhost:*", "vscode-webview://*", "*", "null",
		"http://[::1]:80", "http://127.1", "HTTPS://A.b/", "a://b:1", "https://*.a.:*",
	} {
		f.Add(entry, "https://a.example.com")
		f.Add(entry, entry)
	}
	f.Fuzz(func(t *testing.T, entry, origin string) {
		o := middleware.NewOrigins([]string{entry})
		if middleware.CheckOrigin(entry) != nil {
			if !o.Empty() || o.Named(origin) {
				t.Fatalf("%q is refused and allows %q", entry, origin)
			}
			return
		}
		plain := strings.TrimSuffix(strings.TrimSpace(entry), "/")
		if !strings.Contains(plain, "*") && !o.Named(plain) {
			t.Fatalf("%q does not allow itself", entry)
		}
		if o.Named(origin) && strings.ContainsAny(origin, "*/@ \t\r\n\\") {
			rest := origin[strings.Index(origin, "://")+3:]
			if strings.ContainsAny(rest, "*/@ \t\r\n\\") {
				t.Fatalf("%q allows %q", entry, origin)
			}
		}
	})
}
