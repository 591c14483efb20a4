package auth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
)

// TestUserHeader: who may act for whom, in requests and at the opening of sockets.
func TestUserHeader(t *testing.T) {
	keys, err := auth.ParseAPIKeys("ci=" + apiKey + ";user:a*=act")
	must(err)
	v := newVerifier(t, auth.VerifierOptions{Secret: secret, APIKeys: keys})
	failures := auth.NewFailures(nil, 1)
	h := auth.Authenticate(v, auth.Options{Failures: failures}, fail)(whoami)
	sockets := auth.NewSockets(v, auth.Options{Failures: failures})
	service := hs256(claims(jwt.MapClaims{"sub": "svc", "caps": map[string][]string{"user:bob": {"act"}}}))
	for _, c := range []struct {
		token string
		users []string
		want  string // the user, or part of the error
	}{
		{apiKey, nil, "ci"},
		{apiKey, []string{"ada"}, "ada"},
		{apiKey, []string{"ci"}, "ci"},
		{service, []string{"bob"}, "bob"},
		{apiKey, []string{"bob"}, `Duckwire-User: the action "act" is not allowed on the topic "user:bob"`},
		{service, []string{"ada"}, `"user:ada"`},
		{tokenFor("ada"), []string{"bob"}, `"user:bob"`},
		{apiKey, []string{""}, "Duckwire-User: must be a user's id of 1 to 255 bytes; got 0"},
		{apiKey, []string{"ada", "ada"}, "Duckwire-User: stands there 2 times"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "198.51.100.1:1" // an address whose failed attempts count; none of these is one
		r.Header.Set("Authorization", "Bearer "+c.token)
		r.Header[auth.UserHeader] = c.users
		if c.users == nil {
			r.Header.Del(auth.UserHeader)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%v: %s, want %s", c.users, w.Body, c.want)
		}
		id, err := sockets.Identify(r, "")
		if got := fmt.Sprint(err); err != nil && !strings.Contains(got, c.want) || err == nil && id.User != c.want {
			t.Errorf("%v on a socket: %+v, %v", c.users, id, err)
		}
	}
}

// FuzzUserHeader: whatever the header holds, the identity is that of the user it names, or there is an error.
func FuzzUserHeader(f *testing.F) {
	const old = "user?id=01234567-89ab-cdef-0123-456789abcdef"
	for _, seed := range []string{"ada", "", old, "a*b", "\xff", "zoë", "a\tb"} {
		f.Add(seed)
	}
	keys, err := auth.ParseAPIKeys("ci=" + apiKey + ";user:*=act")
	must(err)
	v := newVerifier(f, auth.VerifierOptions{APIKeys: keys})
	f.Fuzz(func(t *testing.T, value string) {
		var got *rights.Identity
		h := auth.Authenticate(v, auth.Options{}, fail)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got = auth.IdentityFrom(r.Context())
		}))
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+apiKey)
		r.Header[auth.UserHeader] = []string{value}
		h.ServeHTTP(httptest.NewRecorder(), r)
		valid := value != "" && len(value) <= rights.MaxUser && utf8.ValidString(value) &&
			!strings.ContainsFunc(value, unicode.IsControl)
		if valid != (got != nil) || got != nil && (got.User != rights.UserOf(value) || got.Key() != "ci") {
			t.Fatalf("%q: %+v", value, got)
		}
	})
}
