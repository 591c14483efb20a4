package middleware_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/middleware"
)

// FuzzRedactQuery: as parsed by net/url, no credential is left and everything else is unchanged.
func FuzzRedactQuery(f *testing.F) {
	f.Add("a=1&token=x&b=2")
	f.Add("%74oken=x;api_key=y&&=z")
	f.Add("TOKEN[a]=1&%zz=2")
	f.Fuzz(func(t *testing.T, raw string) {
		got := middleware.RedactQuery(raw)
		after, _ := url.ParseQuery(got)
		for name, values := range after {
			plain, _, _ := strings.Cut(strings.ToLower(name), "[")
			for _, v := range values {
				if (plain == "token" || plain == "api_key" || plain == "access_token") && v != "" && v != "REDACTED" {
					t.Fatalf("%q became %q", raw, got)
				}
			}
		}
		if again := middleware.RedactQuery(got); again != got {
			t.Fatalf("%q became %q, then %q", raw, got, again)
		}
	})
}
