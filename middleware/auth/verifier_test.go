package auth_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
)

func TestVerifyEachAlgorithm(t *testing.T) {
	for alg, s := range signers() {
		t.Run(alg, func(t *testing.T) {
			v := newVerifier(t, auth.VerifierOptions{PublicKeyPEM: s.pem()})
			id, err := v.Verify(t.Context(),
				s.sign(claims(jwt.MapClaims{"jti": "t1", "caps": map[string]any{"user:{sub}": []string{"*"}}}), nil))
			if err != nil {
				t.Fatal(err)
			}
			if id.User != "ada" || id.TokenID != "t1" || id.Service || !id.Expires.Equal(now.Add(time.Hour)) ||
				!id.Caps.Allows("user:ada", rights.ActionAdmin) || id.Caps.Allows("user:bob", rights.ActionSubscribe) {
				t.Errorf("got %+v", id)
			}
			for other, o := range signers() {
				if other == alg {
					continue
				}
				if _, err := v.Verify(t.Context(), o.sign(claims(nil), nil)); !errors.Is(err, errs.ErrUnauthenticated) {
					t.Errorf("signed by %s: %v", other, err)
				}
			}
		})
	}
	t.Run("HS256", func(t *testing.T) {
		v := newVerifier(t, auth.VerifierOptions{Secret: secret})
		if id, err := v.Verify(t.Context(), hs256(claims(nil))); err != nil || id.User != "ada" {
			t.Errorf("got %+v, %v", id, err)
		}
	})
	t.Run("all in one", func(t *testing.T) {
		all := []byte("\n")
		for _, s := range signers() {
			all = append(append(all, s.pem()...), "\r\n  "...)
		}
		v := newVerifier(t, auth.VerifierOptions{Secret: secret, PublicKeyPEM: all})
		for alg, s := range signers() {
			if _, err := v.Verify(t.Context(), s.sign(claims(nil), map[string]any{"kid": "whatever"})); err != nil {
				t.Errorf("%s: %v", alg, err)
			}
		}
		if _, err := v.Verify(t.Context(), hs256(claims(nil))); err != nil {
			t.Errorf("HS256: %v", err)
		}
	})
}

func TestVerifyKeyForms(t *testing.T) {
	s := signers()["RS256"]
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)},
		&x509.Certificate{SerialNumber: big.NewInt(1)}, s.key.Public(), s.key)
	must(err)
	for name, block := range map[string]*pem.Block{
		"certificate": {Type: "CERTIFICATE", Bytes: der},
		"PKCS #1":     {Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&mustRSA(s).PublicKey)},
	} {
		v := newVerifier(t, auth.VerifierOptions{PublicKeyPEM: pem.EncodeToMemory(block)})
		if _, err := v.Verify(t.Context(), s.sign(claims(nil), nil)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestVerifyClaims tests the claims of tokens with a valid signature.
func TestVerifyClaims(t *testing.T) {
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	const uuid = "5e0f4dd2-8a3c-4f3a-9d4e-0f1a2b3c4d5e"
	v := newVerifier(t, auth.VerifierOptions{Secret: secret, Issuer: "us", Audience: "duckwire"})
	for name, c := range map[string]struct {
		over jwt.MapClaims
		want string // the user, or "!" and a part of the error's text
	}{
		"good":                 {nil, "ada"},
		"several audiences":    {jwt.MapClaims{"aud": []string{"other", "duckwire"}}, "ada"},
		"RubberDuck's subject": {jwt.MapClaims{"sub": "user?id=" + uuid}, uuid},
		"nearly that":          {jwt.MapClaims{"sub": "user?id=ada"}, "user?id=ada"},
		"nearly a UUID": {jwt.MapClaims{"sub": "user?id=" + strings.Replace(uuid, "-", "x", 1)}, "user?id=" +
			strings.Replace(uuid, "-", "x", 1)},
		"another issuer":        {jwt.MapClaims{"iss": "them"}, "!another issuer"},
		"no issuer":             {jwt.MapClaims{"iss": nil}, "!lacks a claim"},
		"another audience":      {jwt.MapClaims{"aud": "other"}, "!another audience"},
		"no audience":           {jwt.MapClaims{"aud": nil}, "!lacks a claim"},
		"expired":               {jwt.MapClaims{"exp": at(-time.Hour)}, "!token expired"},
		"expired just now":      {jwt.MapClaims{"exp": at(0)}, "!token expired"},
		"about to expire":       {jwt.MapClaims{"exp": at(time.Second)}, "ada"},
		"no exp":                {jwt.MapClaims{"exp": nil}, "!lacks a claim"},
		"exp as text":           {jwt.MapClaims{"exp": "tomorrow"}, "!not valid"},
		"exp null":              {jwt.MapClaims{"exp": json.RawMessage("null")}, "!"},
		"exp in milliseconds":   {jwt.MapClaims{"exp": now.Add(time.Hour).UnixMilli()}, "!no time in seconds"},
		"exp enormous":          {jwt.MapClaims{"exp": 1e300}, "!"},
		"exp negative":          {jwt.MapClaims{"exp": -5}, "!expired"},
		"nbf within the leeway": {jwt.MapClaims{"nbf": at(29 * time.Second)}, "ada"},
		"not yet":               {jwt.MapClaims{"nbf": at(31 * time.Second)}, "!not valid yet"},
		"iat within the leeway": {jwt.MapClaims{"iat": at(29 * time.Second)}, "ada"},
		"from the future":       {jwt.MapClaims{"iat": at(31 * time.Second)}, "!issued in the future"},
		"no sub":                {jwt.MapClaims{"sub": nil}, "!no sub"},
		"empty sub":             {jwt.MapClaims{"sub": ""}, "!no sub"},
		"sub a number":          {jwt.MapClaims{"sub": 7}, "!sub that is no string"},
		"sub too long":          {jwt.MapClaims{"sub": strings.Repeat("a", 256)}, "!more than 255"},
		"sub as long as may be": {jwt.MapClaims{"sub": strings.Repeat("a", 255)}, strings.Repeat("a", 255)},
		"sub with a line break": {jwt.MapClaims{"sub": "ada\nbob"}, "!control characters"},
		"sub in capitals only":  {jwt.MapClaims{"sub": nil, "SUB": "ada"}, "!no sub"},
		"jti a number":          {jwt.MapClaims{"jti": 7}, "!jti that is no string"},
		"jti too long":          {jwt.MapClaims{"jti": strings.Repeat("a", 256)}, "!more than 255"},
		"caps null":             {jwt.MapClaims{"caps": json.RawMessage("null")}, "ada"},
		"caps a list":           {jwt.MapClaims{"caps": []string{"*"}}, "!no JSON object"},
		"caps a text":           {jwt.MapClaims{"caps": "*"}, "!no JSON object"},
		"caps with a text":      {jwt.MapClaims{"caps": map[string]any{"*": "*"}}, "!no lists of actions"},
		"caps with a number":    {jwt.MapClaims{"caps": map[string]any{"*": []any{1}}}, "!no lists of actions"},
		"caps with a null":      {jwt.MapClaims{"caps": map[string]any{"*": nil}}, "!no lists of actions"},
		"caps with no action": {
			jwt.MapClaims{"caps": map[string]any{"code:*": []any{"publish", "dance"}}},
			`!caps["code:*"][1]`,
		},
		"caps with a star between": {jwt.MapClaims{"caps": map[string]any{"a*b": []any{"publish"}}}, `!caps["a*b"]`},
	} {
		t.Run(name, func(t *testing.T) {
			base := jwt.MapClaims{"iss": "us", "aud": "duckwire"}
			for k, v := range c.over {
				base[k] = v
			}
			id, err := v.Verify(t.Context(), hs256(claims(base)))
			if text, bad := strings.CutPrefix(c.want, "!"); bad {
				if !errors.Is(err, errs.ErrUnauthenticated) || errors.Is(err, errs.ErrInvalid) ||
					!strings.Contains(err.Error(), text) || id != nil {
					t.Errorf("got %+v, %v; want %q", id, err, text)
				}
				return
			}
			if err != nil || id.User != c.want {
				t.Errorf("got %+v, %v; want %q", id, err, c.want)
			}
		})
	}
}

func TestVerifyLeeway(t *testing.T) {
	token := hs256(claims(jwt.MapClaims{"nbf": now.Add(10 * time.Second).Unix()}))
	for leeway, want := range map[time.Duration]bool{0: true, 5 * time.Second: false, time.Minute: true, -1: false} {
		v := newVerifier(t, auth.VerifierOptions{Secret: secret, Leeway: leeway})
		if _, err := v.Verify(t.Context(), token); (err == nil) != want {
			t.Errorf("leeway %s: %v", leeway, err)
		}
	}
}

// b64 encodes a part of a token.
func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// rawHS256 signs any header and claims, also invalid ones.
func rawHS256(key []byte, header, claims string) string {
	signed := b64(header) + "." + b64(claims)
	sig, err := jwt.SigningMethodHS256.Sign(signed, key)
	must(err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// TestVerifyAttacks lists tokens that must be rejected by a verifier that accepts a secret, public keys and API keys.
func TestVerifyAttacks(t *testing.T) {
	ec, rs, other := signers()["ES256"], signers()["RS256"], newEdSigner()
	v := newVerifier(t, auth.VerifierOptions{Secret: secret, PublicKeyPEM: slices.Concat(ec.pem(), rs.pem())})
	good, err := json.Marshal(claims(jwt.MapClaims{"caps": map[string]any{"*": []string{"*"}}}))
	must(err)
	none := func(alg string) string { return b64(`{"alg":"`+alg+`","typ":"JWT"}`) + "." + b64(string(good)) + "." }
	rsDER, err := x509.MarshalPKIXPublicKey(rs.key.Public())
	must(err)
	tokens := map[string]string{
		"alg none":                      none("none"),
		"alg None":                      none("None"),
		"alg NONE":                      none("NONE"),
		"alg none with a signature":     none("none") + b64("x"),
		"no alg":                        rawHS256(secret, `{"typ":"JWT"}`, string(good)),
		"alg a number":                  rawHS256(secret, `{"alg":1}`, string(good)),
		"alg hs256":                     rawHS256(secret, `{"alg":"hs256"}`, string(good)),
		"HS512 with the secret":         signWith(jwt.SigningMethodHS512, secret, claims(nil), nil),
		"HS256 with the PEM":            rawHS256(rs.pem(), `{"alg":"HS256"}`, string(good)),
		"HS256 with the PEM, trimmed":   rawHS256(bytes.TrimSpace(rs.pem()), `{"alg":"HS256"}`, string(good)),
		"HS256 with the DER":            rawHS256(rsDER, `{"alg":"HS256"}`, string(good)),
		"HS256 with nothing":            rawHS256(nil, `{"alg":"HS256"}`, string(good)),
		"RS256 said, HS256 done":        rawHS256(rs.pem(), `{"alg":"RS256"}`, string(good)),
		"PS256 with our RSA key":        signWith(jwt.SigningMethodPS256, rs.key, claims(nil), nil),
		"RS512 with our RSA key":        signWith(jwt.SigningMethodRS512, rs.key, claims(nil), nil),
		"ES256 of another key":          newECSigner(jwt.SigningMethodES256, mustEC(ec).Curve).sign(claims(nil), nil),
		"ES256 with an empty signature": strings.TrimRight(b64(`{"alg":"ES256"}`)+"."+b64(string(good))+".", ""),
		"ES256 with zeros": b64(`{"alg":"ES256"}`) + "." + b64(string(good)) + "." +
			b64(strings.Repeat("\x00", 64)),
		"EdDSA without such a key":        other.sign(claims(nil), nil),
		"its own key in the header (jwk)": other.sign(claims(nil), map[string]any{"jwk": other.jwk("x", nil)}),
		"a key elsewhere (jku)": other.sign(claims(nil),
			map[string]any{"jku": "https://evil.invalid/jwks", "kid": "x"}),
		"a certificate (x5c, x5u)": other.sign(claims(nil),
			map[string]any{"x5c": []string{"AAAA"}, "x5u": "https://evil.invalid/"}),
		"kid a path": rawHS256([]byte{0}, `{"alg":"HS256","kid":"../../../../dev/null"}`,
			string(good)),
		"kid SQL": rawHS256([]byte("x"), `{"alg":"HS256","kid":"x' UNION SELECT 'x'--"}`,
			string(good)),
		"kid enormous": rawHS256(secret, `{"alg":"HS256","kid":"`+strings.Repeat("k", 300)+`"}`,
			string(good)),
		"kid a number":            rawHS256(secret, `{"alg":"HS256","kid":7}`, string(good)),
		"kid null":                rawHS256(secret, `{"alg":"HS256","kid":null}`, string(good)),
		"kid with NUL":            rawHS256(secret, `{"alg":"HS256","kid":"a\u0000"}`, string(good)),
		"crit":                    rawHS256(secret, `{"alg":"HS256","crit":["exp"]}`, string(good)),
		"crit and b64":            rawHS256(secret, `{"alg":"HS256","crit":["b64"],"b64":false}`, string(good)),
		"crit empty":              rawHS256(secret, `{"alg":"HS256","crit":[]}`, string(good)),
		"header no object":        rawHS256(secret, `[]`, string(good)),
		"header no JSON":          rawHS256(secret, `{"alg":"HS256"`, string(good)),
		"claims no object":        rawHS256(secret, `{"alg":"HS256"}`, `["sub"]`),
		"claims null":             rawHS256(secret, `{"alg":"HS256"}`, `null`),
		"claims twice":            rawHS256(secret, `{"alg":"HS256"}`, string(good)+string(good)),
		"two parts":               b64(`{"alg":"HS256"}`) + "." + b64(string(good)),
		"four parts":              hs256(claims(nil)) + ".x",
		"five parts (JWE)":        hs256(claims(nil)) + ".x.y",
		"JSON serialisation":      `{"payload":"` + b64(string(good)) + `","signatures":[]}`,
		"a line break within":     strings.Replace(hs256(claims(nil)), ".", ".\n", 1),
		"a line break at the end": hs256(claims(nil)) + "\n",
		"a space before":          " " + hs256(claims(nil)),
		"padded":                  hs256(claims(nil)) + "=",
		"the scheme once more":    "Bearer " + hs256(claims(nil)),
		"only dots":               "..",
		"empty":                   "",
		"too long": rawHS256(secret, `{"alg":"HS256"}`,
			`{"sub":"ada","exp":9999999999,"x":"`+strings.Repeat("x", auth.MaxToken)+`"}`),
		"an unknown API key": "dwk_" + strings.Repeat("A", 43),
	}
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) {
			id, err := v.Verify(t.Context(), token)
			if id != nil || !errors.Is(err, errs.ErrUnauthenticated) {
				t.Fatalf("got %+v, %v", id, err)
			}
			for part := range strings.SplitSeq(token, ".") {
				if len(part) > 3 && strings.Contains(err.Error(), part) {
					t.Errorf("the error holds a part of the token: %v", err)
				}
			}
		})
	}
}

// TestVerifyOnlyPublicKeys: without a secret, HS256 is rejected.
func TestVerifyOnlyPublicKeys(t *testing.T) {
	rs := signers()["RS256"]
	v := newVerifier(t, auth.VerifierOptions{PublicKeyPEM: rs.pem()})
	for _, key := range [][]byte{rs.pem(), {}, nil, secret} {
		if _, err := v.Verify(t.Context(),
			rawHS256(key, `{"alg":"HS256"}`, `{"sub":"ada","exp":9999999999}`)); !errors.Is(err,
			errs.ErrUnauthenticated) {
			t.Errorf("got %v", err)
		}
	}
	// With API keys only, every token is rejected.
	_, hash := auth.NewAPIKey()
	keys, err := auth.ParseAPIKeys(hash)
	must(err)
	v = newVerifier(t, auth.VerifierOptions{APIKeys: keys})
	for _, token := range []string{
		b64(`{"alg":"none"}`) + "." + b64(`{"sub":"ada","exp":9999999999}`) + ".",
		rawHS256(nil, `{"alg":"HS256"}`, `{"sub":"ada","exp":9999999999}`),
	} {
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, errs.ErrUnauthenticated) {
			t.Errorf("got %v", err)
		}
	}
}

// TestVerifyCurveConfusion: ES256 with a P-384 key is rejected.
func TestVerifyCurveConfusion(t *testing.T) {
	s := signers()["ES384"]
	v := newVerifier(t, auth.VerifierOptions{PublicKeyPEM: s.pem()})
	for _, alg := range []string{"ES256", "ES512"} {
		header, body, _ := strings.Cut(s.sign(claims(nil), nil), ".")
		_ = header
		if _, err := v.Verify(t.Context(), b64(`{"alg":"`+alg+`"}`)+"."+body); !errors.Is(err,
			errs.ErrUnauthenticated) {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// TestVerifyTampered flips every bit of a token of each kind. For slow curves it flips some bits, and all at the end,
// where base64 has unused ones.
func TestVerifyTampered(t *testing.T) {
	tokens := map[string]string{"HS256": hs256(claims(nil))}
	for alg, s := range signers() {
		tokens[alg] = s.sign(claims(nil), nil)
	}
	for alg, token := range tokens {
		t.Run(alg, func(t *testing.T) {
			o := auth.VerifierOptions{Secret: secret}
			if alg != "HS256" {
				o = auth.VerifierOptions{PublicKeyPEM: signers()[alg].pem()}
			}
			v := newVerifier(t, o)
			slow := alg == "ES384" || alg == "ES512"
			for i := range len(token) {
				if slow && i%11 != 0 && i < len(token)-3 {
					continue
				}
				for bit := range 8 {
					bad := []byte(token)
					bad[i] ^= 1 << bit
					if id, err := v.Verify(context.Background(), string(bad)); id != nil ||
						!errors.Is(err, errs.ErrUnauthenticated) {
						t.Fatalf("with bit %d of byte %d of %d: %+v, %v", bit, i, len(token), id, err)
					}
				}
			}
		})
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	small := newRSASigner(1024)
	private, err := x509.MarshalPKCS8PrivateKey(signers()["EdDSA"].key)
	must(err)
	x := signers()["EdDSA"].pem()
	for name, c := range map[string]struct {
		o    auth.VerifierOptions
		want string
	}{
		"nothing":             {auth.VerifierOptions{}, "no credential could ever hold"},
		"a short secret":      {auth.VerifierOptions{Secret: []byte("short")}, "openssl rand"},
		"a PEM as the secret": {auth.VerifierOptions{Secret: x}, "a public key is no secret"},
		"a short RSA key":     {auth.VerifierOptions{PublicKeyPEM: small.pem()}, "at least 2048"},
		"a private key": {auth.VerifierOptions{PublicKeyPEM: pem.EncodeToMemory(&pem.Block{
			Type:  "PRIVATE KEY",
			Bytes: private,
		})}, "private key"},
		"no PEM": {auth.VerifierOptions{PublicKeyPEM: []byte("/etc/key.pem")}, "not PEM text"},
		"blanks": {auth.VerifierOptions{PublicKeyPEM: []byte(" \n")}, "empty"},
		"something behind": {
			auth.VerifierOptions{PublicKeyPEM: append(slices.Clone(x), "rest"...)},
			"not PEM text",
		},
		"a damaged PEM": {auth.VerifierOptions{PublicKeyPEM: x[:len(x)-10]}, "damaged"},
		"another kind of PEM": {
			auth.VerifierOptions{PublicKeyPEM: pem.EncodeToMemory(&pem.Block{Type: "X509 CRL"})},
			"no public key",
		},
		"garbage in a PEM": {auth.VerifierOptions{PublicKeyPEM: pem.EncodeToMemory(&pem.Block{
			Type:  "PUBLIC KEY",
			Bytes: []byte("x"),
		})}, "block 1"},
		"a JWKS URL without one": {auth.VerifierOptions{JWKSURL: "jwks.json"}, "JWKS URL"},
		"a JWKS file":            {auth.VerifierOptions{JWKSURL: "file:///etc/passwd"}, "JWKS URL"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := auth.NewVerifier(t.Context(), c.o)
			if v != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
