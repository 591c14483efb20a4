package attacks_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// hs256 signs any header and claims.
func hs256(key []byte, header, claims string) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	text := part(header) + "." + part(claims)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// TestForgedTokens: unsigned tokens, and tokens signed by somebody else, are refused on every transport.
// TestVerifyAttacks in middleware/auth has further forgeries.
func TestForgedTokens(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public := publicPEM(t, key.Public())
	s := start(t, "JWT_PUBLIC_KEY="+public, "JWT_ISSUER=us", "JWT_AUDIENCE=duckwire")
	claims := jwt.MapClaims{
		"sub": "eve", "iss": "us", "aud": "duckwire", "exp": time.Now().Add(time.Hour).Unix(),
		"caps": map[string]any{"*": []string{"*"}},
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	but := func(name string, value any) string {
		other := jwt.MapClaims{}
		for k, v := range claims {
			other[k] = v
		}
		if other[name] = value; value == nil {
			delete(other, name)
		}
		return signed(t, other)
	}
	good := signed(t, claims)
	none := hs256(nil, `{"alg":"none","typ":"JWT"}`, string(raw))
	cut := strings.LastIndexByte(good, '.') + 1
	const (
		dead    = `"http://127.0.0.1:1/"`
		withKey = `{"alg":"HS256","kid":` + dead + `,"jku":` + dead + `,"jwk":{"kty":"oct","k":"eA"}}`
	)
	s.enters(t, good, true)
	for name, forged := range map[string]string{
		"alg none":                      none[:strings.LastIndexByte(none, '.')+1],
		"alg none, signed":              none,
		"the public key as secret":      hs256([]byte(public), `{"alg":"HS256"}`, string(raw)),
		"RS256 said, HS256 done":        hs256([]byte(public), `{"alg":"RS256"}`, string(raw)),
		"another secret":                hs256([]byte(strings.Repeat("another ", 5)), `{"alg":"HS256"}`, string(raw)),
		"no signature":                  good[:cut],
		"a foreign signature":           good[:cut] + but("sub", "adam")[strings.LastIndexByte(but("sub", "adam"), '.')+1:],
		"a foreign issuer":              but("iss", "them"),
		"no issuer":                     but("iss", nil),
		"a foreign audience":            but("aud", "billing"),
		"no audience":                   but("aud", nil),
		"expired":                       but("exp", time.Now().Add(-time.Second).Unix()),
		"no end":                        but("exp", nil),
		"kid a path, an empty key":      hs256(nil, `{"alg":"HS256","kid":"../../../../dev/null"}`, string(raw)),
		"kid SQL":                       hs256([]byte("x"), `{"alg":"HS256","kid":"x' UNION SELECT 'x"}`, string(raw)),
		"kid a URL, and its key inside": hs256([]byte("x"), withKey, string(raw)),
	} {
		t.Run(name, func(t *testing.T) { s.enters(t, forged, false) })
	}
}

// enters tries a token on each transport, and in each place of a request that may hold it.
func (s *server) enters(t *testing.T, tok string, may bool) {
	t.Helper()
	rest, socket := 401, 403
	if may {
		rest, socket = 200, 101
	}
	try := func(door string, got, want int) {
		if got != want {
			t.Errorf("%s: %d, want %d", door, got, want)
		}
	}
	get := func(path string, headers ...string) int {
		status, _, _ := s.do("GET", path, "", headers...)
		return status
	}
	try("header", get("/v1/streams", "Authorization: Bearer "+tok), rest)
	try("query", get("/v1/streams?token="+url.QueryEscape(tok)), rest)
	try("cookie", get("/v1/streams", "Cookie: duckwire_token="+tok), rest)
	try("WebSocket", s.shake("?vsn=2.0.0&token="+url.QueryEscape(tok)), socket)
	coded := strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(tok)), "=")
	protocols := "Sec-WebSocket-Protocol: phoenix, base64url.bearer.phx." + coded
	try("WebSocket's authToken", s.shake("?vsn=2.0.0", protocols), socket)
	_, poll, _ := s.do("GET", "/socket/longpoll?vsn=2.0.0&token="+url.QueryEscape(tok), "")
	if opened := strings.Contains(poll, `"status":410`); opened != may {
		t.Errorf("long-poll: %s", poll)
	}
	if may {
		resp := s.open("GET", "/socket/sse?vsn=2.0.0&token="+url.QueryEscape(tok), "")
		try("SSE socket", resp.StatusCode, 200)
		resp.Body.Close()
		return
	}
	try("SSE socket", get("/socket/sse?vsn=2.0.0&token="+url.QueryEscape(tok)), socket)
}

func publicPEM(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
