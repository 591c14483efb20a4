package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
)

// Limits of tokens.
const (
	MaxToken      = 8 << 10 // bytes of a token; longer ones are rejected without parsing
	minSecret     = 32      // bytes of a shared secret (RFC 7518 §3.2: as long as the hash)
	maxKID        = 256     // bytes of a key id
	defaultLeeway = 30 * time.Second
)

// VerifierOptions configure which credentials are valid. At least one of Secret, PublicKeyPEM, JWKSURL and APIKeys must
// be set.
type VerifierOptions struct {
	Secret []byte // shared secret of HS256 tokens, at least 32 bytes
	// public keys or certificates: RSA (RS256), EC (ES256, ES384, ES512), Ed25519 (EdDSA)
	PublicKeyPEM []byte
	JWKSURL      string              // the URL of the issuer's key set
	APIKeys      []APIKey            // see ParseAPIKeys
	Issuer       string              // required iss; "": not checked
	Audience     string              // required aud, possibly among others; "": not checked
	Leeway       time.Duration       // how far the issuer's clock may be ahead (nbf, iat); 0: 30 s, negative: none
	Revocations  *rights.Revocations // revoked tokens; nil: a list in memory
	HTTPClient   *http.Client        // for JWKSURL; nil: one that follows few redirects
	Logger       *slog.Logger        // nil: slog.Default()
	Now          func() time.Time    // the clock for claims; nil: time.Now
}

// Verifier validates tokens and API keys. It is safe for concurrent use.
type Verifier struct {
	secret  []byte
	static  []publicKey // of PublicKeyPEM
	jwks    *jwks       // nil: none
	apiKeys []APIKey
	parser  *jwt.Parser
	now     func() time.Time
	checked tokenCache
	revoked *rights.Revocations

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// NewVerifier validates the options and starts a goroutine that fetches the key set, if there is one, until ctx ends or
// Close. If the key set cannot be fetched, Ready returns the error, and the fetch is retried. The Verifier must be
// closed.
func NewVerifier(ctx context.Context, o VerifierOptions) (*Verifier, error) {
	v := &Verifier{
		secret: bytes.Clone(o.Secret), apiKeys: o.APIKeys, now: o.Now, revoked: o.Revocations, cancel: func() {},
	}
	if v.now == nil {
		v.now = time.Now
	}
	if err := checkSecret(o.Secret); err != nil {
		return nil, err
	}
	if v.revoked == nil {
		v.revoked, _ = rights.NewRevocations(rights.RevocationOptions{Now: v.now}) // only fails with a store
	}
	if len(o.PublicKeyPEM) > 0 {
		var err error
		if v.static, err = parsePublicKeys(o.PublicKeyPEM); err != nil {
			return nil, err
		}
	}
	if len(v.secret) == 0 && len(v.static) == 0 && o.JWKSURL == "" && len(v.apiKeys) == 0 {
		return nil, errors.New("no credential could ever hold: set a JWT secret, a public key, a JWKS URL or API keys")
	}
	if err := checkAPIKeys(v.apiKeys); err != nil {
		return nil, err
	}
	v.parser = jwt.NewParser(v.parserOptions(&o)...)
	if o.JWKSURL == "" {
		return v, nil
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	ctx, v.cancel = context.WithCancel(ctx)
	var err error
	if v.jwks, err = newJWKS(ctx, o.JWKSURL, o.HTTPClient, o.Logger); err != nil {
		v.cancel()
		return nil, err
	}
	v.wg.Go(v.jwks.run)
	return v, nil
}

// checkSecret rejects secrets that make HS256 weak: short ones, and public keys that are set as the secret by mistake.
func checkSecret(secret []byte) error {
	switch {
	case len(secret) == 0:
		return nil
	case bytes.Contains(secret, []byte("-----BEGIN ")):
		return errors.New("JWT secret: this is PEM text; a public key is no secret, set it as the public key")
	case len(secret) < minSecret:
		return fmt.Errorf("JWT secret: has %d bytes; at least %d are needed, make one with: openssl rand -base64 48",
			len(secret), minSecret)
	}
	return nil
}

// parserOptions enables every check of the JWT library; none is on by default.
func (v *Verifier) parserOptions(o *VerifierOptions) []jwt.ParserOption {
	var methods []string
	if len(v.secret) > 0 {
		methods = append(methods, "HS256")
	}
	if len(v.static) > 0 || o.JWKSURL != "" {
		methods = append(methods, publicAlgs...)
	}
	if methods == nil {
		methods = []string{} // nil would allow every algorithm, also "none"
	}
	leeway := o.Leeway
	if leeway == 0 {
		leeway = defaultLeeway
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithStrictDecoding(), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(max(leeway, 0)), jwt.WithTimeFunc(v.now),
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		options = append(options, jwt.WithAudience(o.Audience))
	}
	return options
}

// Verify returns the identity of a token or API key.
//
// Errors: a *TokenError, which matches errs.ErrUnauthenticated and whose text is safe to show; one that matches
// errs.ErrUnavailable if the keys cannot be fetched now; or ctx's error. No error contains the token.
func (v *Verifier) Verify(ctx context.Context, token string) (*rights.Identity, error) {
	switch {
	case token == "":
		return nil, errNoToken
	case len(token) > MaxToken:
		return nil, &TokenError{Reason: fmt.Sprintf("token has more than %d bytes", MaxToken)}
	}
	if id := v.findAPIKey(token); id != nil {
		return id, nil
	}
	switch {
	case strings.HasPrefix(token, middleware.APIKeyPrefix):
		return nil, &TokenError{Reason: "API key is unknown"}
	case !isCompactJWS(token):
		return nil, &TokenError{Reason: "token is malformed"}
	}
	// The key set is read before the verification: if it changes meanwhile, the cached result is not used again.
	hash, keys := sha256.Sum256([]byte(token)), v.keySet()
	if id := v.checked.get(hash, keys, v.now()); id != nil {
		return v.unlessRevoked(id)
	}
	claims := jwt.MapClaims{} // not a struct: encoding/json would match its fields case-insensitively
	_, err := v.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) { return v.keysFor(ctx, t) })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, tokenError(err)
	}
	id, err := v.identityOf(claims)
	if err != nil {
		return nil, err
	}
	v.checked.put(hash, keys, id)
	return v.unlessRevoked(id)
}

var errRevoked = &TokenError{Reason: "token was revoked"}

func (v *Verifier) unlessRevoked(id *rights.Identity) (*rights.Identity, error) {
	if v.revoked.Revoked(id) {
		return nil, errRevoked
	}
	return id, nil
}

// Revocations returns the revoked tokens. Verify rejects what is revoked there from then on; closing open connections
// is the task of those who own them.
func (v *Verifier) Revocations() *rights.Revocations { return v.revoked }

// keySet returns the fetched key set, or nil if there is none.
func (v *Verifier) keySet() *[]publicKey {
	if v.jwks == nil {
		return nil
	}
	return v.jwks.set.Load()
}

// isCompactJWS checks the alphabet of RFC 7515 §7.1. Go's base64 decoder skips line breaks, so without this check one
// token would have many forms.
func isCompactJWS(token string) bool {
	for i := range len(token) {
		switch c := token[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// keysFor returns the keys that may have signed a token. It only uses alg (already checked against the accepted ones)
// and kid of its header; kid is only compared with those of the key set. jwk, jku, x5c and x5u are ignored.
func (v *Verifier) keysFor(ctx context.Context, t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		// RFC 7515 §4.1.11: tokens with extensions that are not supported must be rejected; none is supported.
		return nil, &TokenError{Reason: "token has critical extensions (crit), which are not supported"}
	}
	kid, err := keyID(t.Header)
	if err != nil {
		return nil, err
	}
	alg := t.Method.Alg()
	if alg == "HS256" {
		return v.secret, nil
	}
	var keys jwt.VerificationKeySet
	for _, k := range v.static {
		if k.alg == alg {
			keys.Keys = append(keys.Keys, k.key)
		}
	}
	if v.jwks == nil {
		return keys, nil
	}
	if len(keys.Keys) > 0 && v.jwks.match(alg, kid) == nil && verifiesWith(t, keys) {
		return keys, nil // a static key verifies it, so its unknown kid need not trigger a fetch
	}
	found, err := v.jwks.find(ctx, alg, kid)
	if err != nil {
		return nil, err
	}
	for _, k := range found {
		keys.Keys = append(keys.Keys, k.key)
	}
	if len(keys.Keys) == 0 {
		return nil, &TokenError{Reason: "token is signed with an unknown key (kid)"}
	}
	return keys, nil
}

// keyID returns a header's kid, or "" if it has none.
func keyID(header map[string]any) (string, error) {
	value, ok := header["kid"]
	if !ok {
		return "", nil
	}
	kid, ok := value.(string)
	if !ok || kid == "" || len(kid) > maxKID || hasControl(kid) {
		return "", &TokenError{Reason: "token has a key id (kid) that is no key's"}
	}
	return kid, nil
}

func verifiesWith(t *jwt.Token, keys jwt.VerificationKeySet) bool {
	signed := t.Raw[:strings.LastIndexByte(t.Raw, '.')]
	for _, key := range keys.Keys {
		if t.Method.Verify(signed, t.Signature, key) == nil {
			return true
		}
	}
	return false
}

// Ready returns nil if every key is available: immediately, or after the first fetch of the key set. Its error matches
// errs.ErrUnavailable.
func (v *Verifier) Ready() error {
	if v.jwks == nil {
		return nil
	}
	return v.jwks.ready()
}

// Close stops fetching the key set, and waits for the goroutine that does. Verify may still be called, but does not
// fetch keys.
func (v *Verifier) Close() {
	v.cancel()
	v.wg.Wait()
}
