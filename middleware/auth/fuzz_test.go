package auth_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware/auth"
)

// FuzzVerify: any input is rejected, since nobody but the holder of the secret can create a valid token.
func FuzzVerify(f *testing.F) {
	good := hs256(claims(nil))
	f.Add(good[:len(good)-1])
	f.Add(b64(`{"alg":"none"}`) + "." + b64(`{"sub":"ada","exp":9999999999}`) + ".")
	f.Add("dwk_" + strings.Repeat("A", 43))
	f.Add("..")
	all := signers()["ES256"].pem()
	f.Fuzz(func(t *testing.T, token string) {
		if token == good {
			return
		}
		v := newVerifier(t, auth.VerifierOptions{Secret: secret, PublicKeyPEM: all})
		id, err := v.Verify(t.Context(), token)
		if id != nil || !errors.Is(err, errs.ErrUnauthenticated) {
			t.Fatalf("got %+v, %v", id, err)
		}
	})
}

// FuzzAuthenticateQuery: after Authenticate the query has no credential, and all other parameters that net/url reads in
// it.
func FuzzAuthenticateQuery(f *testing.F) {
	f.Add("a=1&b=2")
	f.Add("a&&=&%zz=1&c=%C3%A9")
	f.Add("token=x&api_key=y")
	v := newVerifier(f, auth.VerifierOptions{Secret: secret})
	bearer := "Bearer " + tokenFor("ada")
	f.Fuzz(func(t *testing.T, raw string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = raw
		r.Header.Set("Authorization", bearer)
		before := r.URL.Query()
		inner := &seen{}
		w := httptest.NewRecorder()
		auth.Authenticate(v, auth.Options{}, fail)(inner).ServeHTTP(w, r)
		before.Del("token")
		before.Del("api_key")
		if w.Code != 200 || inner.query.Encode() != before.Encode() {
			t.Fatalf("%d, %q became %v", w.Code, raw, inner.query)
		}
	})
}

// FuzzParseAPIKeys returns complete keys or an error, and errors never quote a long entry.
func FuzzParseAPIKeys(f *testing.F) {
	f.Add("ci=sha256:" + strings.Repeat("ab", 32) + ";code:*=publish|queue")
	f.Add(apiKey + "\n" + apiKey)
	f.Add("a=b=c;;=,")
	f.Fuzz(func(t *testing.T, config string) {
		keys, err := auth.ParseAPIKeys(config)
		if err != nil {
			if len(config) >= 32 && !strings.Contains(config, ";") && strings.Contains(err.Error(), config) {
				t.Fatalf("%v quotes %q", err, config)
			}
			return
		}
		for _, k := range keys {
			if k.Name == "" || k.Hash == [32]byte{} || len(k.Name) > 64 {
				t.Fatalf("%q gave %+v", config, k)
			}
		}
	})
}
