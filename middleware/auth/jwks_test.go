package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware/auth"
)

const jwksURL = "https://issuer.example/jwks"

// issuer serves a key set inside a synctest bubble, where there are no sockets.
type issuer struct {
	mu      sync.Mutex
	body    []byte
	status  int           // 0: 200
	delay   time.Duration // before each answer
	down    bool
	fetches int
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.fetches++
	body, status, delay, down := i.body, i.status, i.delay, i.down
	i.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if down {
		return nil, errors.New("connection refused")
	}
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(string(body))), Request: r,
	}, nil
}

func (i *issuer) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

func (i *issuer) client() *http.Client { return &http.Client{Transport: i} }

// bubbleVerifier uses the bubble's clock.
func bubbleVerifier(t *testing.T, i *issuer) *auth.Verifier {
	return newVerifier(t, auth.VerifierOptions{JWKSURL: jwksURL, HTTPClient: i.client(), Now: time.Now})
}

func bubbleClaims() jwt.MapClaims {
	return jwt.MapClaims{"sub": "ada", "exp": time.Now().Add(24 * time.Hour).Unix()}
}

func kid(k string) map[string]any { return map[string]any{"kid": k} }

// wantVerify checks for a sentinel; nil is success.
func wantVerify(t *testing.T, v *auth.Verifier, token string, want error) {
	t.Helper()
	if id, err := v.Verify(t.Context(), token); !errors.Is(err, want) || (id == nil) != (err != nil) {
		t.Errorf("got %+v, %v; want %v", id, err, want)
	}
}

func TestJWKSEachAlgorithm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys []map[string]any
		for alg, s := range signers() {
			keys = append(keys, s.jwk("k-"+alg, nil))
		}
		i := &issuer{body: keySet(keys...)}
		v := bubbleVerifier(t, i)
		for alg, s := range signers() {
			wantVerify(t, v, s.sign(bubbleClaims(), kid("k-"+alg)), nil)
			wantVerify(t, v, s.sign(bubbleClaims(), nil), nil) // no kid: any key of the algorithm
			for other := range signers() {
				if other != alg {
					wantVerify(t, v, s.sign(bubbleClaims(), kid("k-"+other)), errs.ErrUnauthenticated)
				}
			}
		}
		wantVerify(t, v, signWith(jwt.SigningMethodHS256, secret, bubbleClaims(), nil), errs.ErrUnauthenticated)
	})
}

// TestJWKSRotation: a new key works immediately, and an old one until the set is fetched without it.
func TestJWKSRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newEdSigner(), newEdSigner()
		// slower than keyfunc's wait would bear
		i := &issuer{body: keySet(a.jwk("a", nil)), delay: 300 * time.Millisecond}
		v := bubbleVerifier(t, i)
		wantVerify(t, v, a.sign(bubbleClaims(), kid("a")), nil)
		i.set(func() { i.body = keySet(b.jwk("b", nil)) })
		wantVerify(t, v, b.sign(bubbleClaims(), kid("b")), nil)
		wantVerify(t, v, a.sign(bubbleClaims(), kid("a")), errs.ErrUnauthenticated)
		// A key that was only removed is rejected after the next regular fetch.
		i.set(func() { i.body = keySet() })
		time.Sleep(12 * time.Minute)
		wantVerify(t, v, b.sign(bubbleClaims(), kid("b")), errs.ErrUnauthenticated)
	})
}

// TestJWKSForgedKeyIDs: a flood of invented key ids causes few fetches, and delays a real rotation by at most 30 s.
func TestJWKSForgedKeyIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, forger := newEdSigner(), newEdSigner(), newEdSigner()
		i := &issuer{body: keySet(a.jwk("a", nil))}
		v := bubbleVerifier(t, i)
		wantVerify(t, v, a.sign(bubbleClaims(), kid("a")), nil)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer stop()
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = v.Verify(ctx, forger.sign(bubbleClaims(), kid(fmt.Sprint("forged-", n))))
				time.Sleep(100 * time.Millisecond)
			}
		})
		time.Sleep(5*time.Minute - time.Millisecond)
		if n := i.count(); n > 1+2+10 {
			t.Errorf("%d fetches in five minutes", n)
		}
		i.set(func() { i.body = keySet(b.jwk("b", nil)) })
		start, token := time.Now(), b.sign(bubbleClaims(), kid("b"))
		for {
			if _, err := v.Verify(t.Context(), token); err == nil {
				break
			}
			if time.Since(start) > 31*time.Second {
				t.Fatal("the new key is not accepted after 31 s")
			}
			time.Sleep(time.Second)
		}
		wantVerify(t, v, a.sign(bubbleClaims(), kid("a")), errs.ErrUnauthenticated)
	})
}

// TestJWKSSharedFetch: callers during a fetch wait for that fetch.
func TestJWKSSharedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newEdSigner()
		i := &issuer{body: keySet(a.jwk("a", nil)), delay: time.Second}
		v := bubbleVerifier(t, i)
		token := a.sign(bubbleClaims(), kid("a"))
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { wantVerify(t, v, token, nil) })
		}
		wg.Wait()
		if n := i.count(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		// A caller whose context ends does not wait, and does not end the fetch for others.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := v.Verify(ctx, a.sign(bubbleClaims(), kid("b"))); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(start) != 10*time.Millisecond {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
	})
}

// TestJWKSDownAtStart: the verifier is created but not ready, and tokens get errs.ErrUnavailable, until a fetch
// succeeds.
func TestJWKSDownAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newEdSigner()
		i := &issuer{body: keySet(a.jwk("a", nil)), down: true}
		v := bubbleVerifier(t, i)
		token := a.sign(bubbleClaims(), kid("a"))
		wantVerify(t, v, token, errs.ErrUnavailable)
		wantVerify(t, v, a.sign(bubbleClaims(), nil), errs.ErrUnavailable)
		if err := v.Ready(); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("ready: %v", err)
		}
		time.Sleep(10 * time.Minute)
		if n := i.count(); n < 10 || n > 20 {
			t.Errorf("%d fetches in ten minutes", n)
		}
		i.set(func() { i.down = false })
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := v.Ready(); err != nil {
			t.Errorf("ready: %v", err)
		}
		wantVerify(t, v, token, nil)
		// During a later outage known keys work, and unknown ones get errs.ErrUnavailable.
		i.set(func() { i.down = true })
		time.Sleep(time.Hour)
		wantVerify(t, v, token, nil)
		wantVerify(t, v, a.sign(bubbleClaims(), kid("new")), errs.ErrUnavailable)
		if err := v.Ready(); err != nil {
			t.Errorf("ready in an outage: %v", err)
		}
	})
}

func TestJWKSHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{delay: 1000 * time.Hour}
		v := bubbleVerifier(t, i)
		start := time.Now()
		wantVerify(t, v, newEdSigner().sign(bubbleClaims(), kid("a")), errs.ErrUnavailable)
		if d := time.Since(start); d > 11*time.Second {
			t.Errorf("waited %s", d)
		}
		v.Close() // during a fetch: it waits for the goroutine, which the bubble checks
		wantVerify(t, v, newEdSigner().sign(bubbleClaims(), kid("a")), errs.ErrUnavailable)
	})
}

// TestJWKSAnswers tests responses of the URL. After an unusable response the verifier is not ready.
func TestJWKSAnswers(t *testing.T) {
	a := newEdSigner()
	big := make([]byte, 1<<20)
	for i := range big {
		big[i] = ' '
	}
	many := make([]map[string]any, 257)
	for n := range many {
		many[n] = a.jwk("a", nil)
	}
	for name, c := range map[string]struct {
		status int
		body   []byte
		ready  bool
	}{
		"good":                {0, keySet(a.jwk("a", nil)), true},
		"an empty set":        {0, keySet(), true},
		"a failure":           {500, keySet(a.jwk("a", nil)), false},
		"204":                 {204, nil, false},
		"HTML":                {0, []byte("<html>"), false},
		"no keys":             {0, []byte(`{}`), false},
		"keys null":           {0, []byte(`{"keys":null}`), false},
		"keys an object":      {0, []byte(`{"keys":{}}`), false},
		"a list":              {0, []byte(`[]`), false},
		"too large":           {0, append(keySet(a.jwk("a", nil)), big...), false},
		"too many keys":       {0, keySet(many...), false},
		"cut off":             {0, keySet(a.jwk("a", nil))[:40], false},
		"two documents":       {0, append(keySet(a.jwk("a", nil)), "{}"...), false},
		"an unusable one too": {0, keySet(map[string]any{"kty": "AKP"}, a.jwk("a", nil)), true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := bubbleVerifier(t, &issuer{status: c.status, body: c.body})
				synctest.Wait()
				if err := v.Ready(); (err == nil) != c.ready {
					t.Errorf("ready: %v", err)
				}
			})
		})
	}
}

// TestJWKSKeyMembers: use, key_ops and alg are checked, also for tokens without a kid; symmetric, short and damaged
// keys are skipped, and do not affect others.
func TestJWKSKeyMembers(t *testing.T) {
	a, rs := signers()["ES256"], signers()["RS256"]
	small := newRSASigner(1024)
	for name, c := range map[string]struct {
		key  map[string]any
		by   signer
		want bool
	}{
		"plain":             {a.jwk("k", nil), a, true},
		"without a use":     {a.jwk("k", map[string]any{"use": ""}), a, true},
		"for encryption":    {a.jwk("k", map[string]any{"use": "enc"}), a, false},
		"of an unknown use": {a.jwk("k", map[string]any{"use": "x"}), a, false},
		"its own alg":       {a.jwk("k", map[string]any{"alg": "ES256"}), a, true},
		"another alg":       {a.jwk("k", map[string]any{"alg": "ES384"}), a, false},
		"an alg for HMAC":   {a.jwk("k", map[string]any{"alg": "HS256"}), a, false},
		"RSA for PS256":     {rs.jwk("k", map[string]any{"alg": "PS256"}), rs, false},
		"RSA for RS256":     {rs.jwk("k", map[string]any{"alg": "RS256"}), rs, true},
		"to verify":         {a.jwk("k", map[string]any{"key_ops": []string{"verify"}}), a, true},
		"to wrap keys":      {a.jwk("k", map[string]any{"key_ops": []string{"wrapKey"}}), a, false},
		"short RSA":         {small.jwk("k", nil), small, false},
		"off its curve":     {a.jwk("k", map[string]any{"x": "AAAA"}), a, false},
		"the named Ed25519": {
			signers()["EdDSA"].jwk("k", map[string]any{"alg": "Ed25519"}), signers()["EdDSA"],
			true,
		},
		"a certificate's URL": {a.jwk("k", map[string]any{"x5u": "http://elsewhere.invalid/"}), a, false},
		"symmetric, so no ECs": {
			map[string]any{"kty": "oct", "kid": "k", "k": b64(string(secret)), "alg": "HS256"},
			a,
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				other := newEdSigner()
				v := bubbleVerifier(t, &issuer{body: keySet(c.key, map[string]any{"kty": "EC"},
					other.jwk("other", nil))})
				var want error = errs.ErrUnauthenticated
				if c.want {
					want = nil
				}
				wantVerify(t, v, c.by.sign(bubbleClaims(), kid("k")), want)
				wantVerify(t, v, c.by.sign(bubbleClaims(), nil), want)
				wantVerify(t, v, other.sign(bubbleClaims(), kid("other")), nil)
				wantVerify(t, v, signWith(jwt.SigningMethodHS256, secret, bubbleClaims(), kid("k")),
					errs.ErrUnauthenticated)
			})
		})
	}
}

// TestJWKSAndPublicKey: a token of the configured key does not cause a fetch, whatever its kid.
func TestJWKSAndPublicKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newEdSigner(), newEdSigner()
		i := &issuer{down: true}
		v := newVerifier(t, auth.VerifierOptions{
			JWKSURL: jwksURL, HTTPClient: i.client(), PublicKeyPEM: a.pem(),
			Now: time.Now,
		})
		synctest.Wait()
		for range 10 {
			wantVerify(t, v, a.sign(bubbleClaims(), kid("local")), nil)
		}
		if n := i.count(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		wantVerify(t, v, b.sign(bubbleClaims(), kid("b")), errs.ErrUnavailable)
	})
}

// TestJWKSOverHTTP uses a real server, with a redirect that must not be followed.
func TestJWKSOverHTTP(t *testing.T) {
	a := newEdSigner()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "http://plain.invalid/jwks", http.StatusFound)
			return
		}
		_, _ = w.Write(keySet(a.jwk("a", nil)))
	}))
	defer secure.Close()
	for _, c := range []struct {
		path string
		want error
	}{{"/jwks", nil}, {"/away", errs.ErrUnavailable}} {
		client := secure.Client()
		v := newVerifier(t, auth.VerifierOptions{JWKSURL: secure.URL + c.path, HTTPClient: client})
		wantVerify(t, v, a.sign(claims(nil), kid("a")), c.want)
		v.Close()
		client.CloseIdleConnections()
	}
}

// TestJWKSLogsNoPassword: the URL may contain a password, which must not be logged.
func TestJWKSLogsNoPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		v := newVerifier(t, auth.VerifierOptions{
			JWKSURL: "https://user:hunter2@issuer.example/jwks", HTTPClient: (&issuer{status: 500}).client(),
			Logger: slog.New(slog.NewJSONHandler(&log, nil)),
		})
		synctest.Wait()
		v.Close()
		if !strings.Contains(log.String(), "cannot be fetched") || strings.Contains(log.String(), "hunter2") {
			t.Error(log.String())
		}
	})
}
