package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/middleware/auth"
)

// now is the time of every test that injects a clock.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

var secret = []byte("a secret of more than thirty-two bytes")

// signer is a key with its algorithm.
type signer struct {
	method jwt.SigningMethod
	key    crypto.Signer
}

func newECSigner(method jwt.SigningMethod, curve elliptic.Curve) signer {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	must(err)
	return signer{method, key}
}

func newEdSigner() signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	return signer{jwt.SigningMethodEdDSA, key}
}

func newRSASigner(bits int) signer {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	must(err)
	return signer{jwt.SigningMethodRS256, key}
}

// signers returns one key of each kind. They are generated once, since RSA keys take long.
var signers = sync.OnceValue(func() map[string]signer {
	return map[string]signer{
		"RS256": newRSASigner(2048),
		"ES256": newECSigner(jwt.SigningMethodES256, elliptic.P256()),
		"ES384": newECSigner(jwt.SigningMethodES384, elliptic.P384()),
		"ES512": newECSigner(jwt.SigningMethodES512, elliptic.P521()),
		"EdDSA": newEdSigner(),
	}
})

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// pem returns the public key as PKIX PEM.
func (s signer) pem() []byte {
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	must(err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// jwk returns the public key as a JWK, with additional or replaced members.
func (s signer) jwk(kid string, more map[string]any) map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	m := map[string]any{"kid": kid, "use": "sig"}
	switch key := s.key.Public().(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(key.N.Bytes()), b64(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		must(err)
		half := (len(point) - 1) / 2
		m["kty"], m["crv"], m["x"], m["y"] = "EC", key.Params().Name, b64(point[1:1+half]), b64(point[1+half:])
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(key)
	}
	for k, v := range more {
		m[k] = v
	}
	return m
}

// sign creates a token with additional header members.
func (s signer) sign(claims jwt.MapClaims, header map[string]any) string {
	return signWith(s.method, s.key, claims, header)
}

func signWith(method jwt.SigningMethod, key any, claims jwt.MapClaims, header map[string]any) string {
	t := jwt.NewWithClaims(method, claims)
	for k, v := range header {
		t.Header[k] = v
	}
	text, err := t.SignedString(key)
	must(err)
	return text
}

// hs256 creates a token with the shared secret.
func hs256(claims jwt.MapClaims) string {
	return signWith(jwt.SigningMethodHS256, secret, claims, nil)
}

// claims returns valid claims with replacements; nil removes a claim.
func claims(over jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "ada", "exp": now.Add(time.Hour).Unix()}
	for k, v := range over {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func keySet(keys ...map[string]any) []byte {
	if keys == nil {
		keys = []map[string]any{} // not null
	}
	b, err := json.Marshal(map[string]any{"keys": keys})
	must(err)
	return b
}

// newVerifier creates a verifier with the tests' clock and a silent logger.
func newVerifier(t testing.TB, o auth.VerifierOptions) *auth.Verifier {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return now }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	v, err := auth.NewVerifier(context.Background(), o)
	if err != nil {
		t.Fatalf("NewVerifier: %v", err)
	}
	t.Cleanup(v.Close)
	return v
}

func mustRSA(s signer) *rsa.PrivateKey  { return s.key.(*rsa.PrivateKey) }
func mustEC(s signer) *ecdsa.PrivateKey { return s.key.(*ecdsa.PrivateKey) }

// seen is a handler that records its query.
type seen struct{ query url.Values }

func (s *seen) ServeHTTP(_ http.ResponseWriter, r *http.Request) { s.query = r.URL.Query() }
