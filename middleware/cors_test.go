package middleware_test

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/middleware"
)

// TestCORSRequestedHeaders: a preflight of an allowed origin is answered with the headers that it names, whatever an SDK
// adds, and with no header that is no name.
func TestCORSRequestedHeaders(t *testing.T) {
	const app = "https://app.example.com"
	sdk := "api-key,authorization,content-type,http-referer,traceparent,x-stainless-lang,x-stainless-retry-count,x-title"
	many := strings.TrimSuffix(strings.Repeat("a,", 101), ",")
	for name, c := range map[string]struct {
		allowed, origin string
		requested       []string
		want            string // the end of Access-Control-Allow-Headers
	}{
		"an SDK":             {app, app, []string{sdk}, ", X-Api-Key, " + strings.ReplaceAll(sdk, ",", ", ")},
		"any origin":         {"*", "https://else.example", []string{"x-a"}, ", X-Api-Key, x-a"},
		"a wildcard":         {"https://*.example.com", app, []string{"x-a"}, ", X-Api-Key, x-a"},
		"several lines":      {app, app, []string{"x-a, x-b", " x-c ,"}, ", X-Api-Key, x-a, x-b, x-c"},
		"none":               {app, app, nil, ", X-Api-Key"},
		"as many as may be":  {app, app, []string{many[2:]}, ", a"},
		"too many":           {app, app, []string{many}, ", X-Api-Key"},
		"too long":           {app, app, []string{strings.Repeat("a", 5000)}, ", X-Api-Key"},
		"no name":            {app, app, []string{"x-a, x b"}, ", X-Api-Key"},
		"a wildcard header":  {app, app, []string{"*"}, ", X-Api-Key, *"}, // a token like any other
		"another":            {app, "https://evil.example", []string{"x-a"}, ""},
		"not in that domain": {"https://*.example.com", "https://example.com", []string{"x-a"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("OPTIONS", "/v1/chat/completions", nil)
			r.Header.Set("Origin", c.origin)
			r.Header.Set("Access-Control-Request-Method", "POST")
			r.Header["Access-Control-Request-Headers"] = c.requested
			w := httptest.NewRecorder()
			middleware.CORS(middleware.CORSOptions{AllowedOrigins: []string{c.allowed}})(ok).ServeHTTP(w, r)
			got := w.Header().Get("Access-Control-Allow-Headers")
			if w.Code != 204 || (c.want == "") != (got == "") || !strings.HasSuffix(got, c.want) {
				t.Errorf("got %d %.300q, want …%.300q", w.Code, got, c.want)
			}
			credentials := w.Header().Get("Access-Control-Allow-Credentials")
			if want := c.want != "" && c.allowed != "*"; want != (credentials == "true") {
				t.Errorf("credentials: %q", credentials)
			}
		})
	}
}

// TestCORSPrivateNetwork: pages of allowed origins, and no others, may reach a server in a private network.
func TestCORSPrivateNetwork(t *testing.T) {
	for _, c := range []struct{ allowed, asked, want string }{
		{"https://app.example", "true", "true"},
		{"*", "true", "true"},
		{"https://app.example", "", ""},
		{"https://other.example", "true", ""},
	} {
		h := middleware.CORS(middleware.CORSOptions{AllowedOrigins: []string{c.allowed}})(ok)
		w := serve(h, "OPTIONS", "/", "Origin", "https://app.example", "Access-Control-Request-Method", "GET",
			"Access-Control-Request-Private-Network", c.asked)
		if got := w.Header().Get("Access-Control-Allow-Private-Network"); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// FuzzCORSRequestedHeaders: whatever a preflight asks for, the answer is a list of headers' names.
func FuzzCORSRequestedHeaders(f *testing.F) {
	f.Add("authorization,x-stainless-lang")
	f.Add("a, b c,\td")
	f.Add(strings.Repeat("a,", 200))
	names := regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+(, [!#$%&'*+.^_`|~0-9A-Za-z-]+)*$")
	h := middleware.CORS(middleware.CORSOptions{AllowedOrigins: []string{"*"}})(ok)
	f.Fuzz(func(t *testing.T, asked string) {
		w := serve(h, "OPTIONS", "/", "Origin", "https://a.example", "Access-Control-Request-Method", "GET",
			"Access-Control-Request-Headers", asked)
		if got := w.Header().Get("Access-Control-Allow-Headers"); len(got) > 10_000 || !names.MatchString(got) {
			t.Fatalf("%q became %q", asked, got)
		}
	})
}
