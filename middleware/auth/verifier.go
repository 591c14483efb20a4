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
	MaxToken      = 8 << 10 // bytes of a token; longer ones are refused unread
	minSecret     = 32      // bytes of a shared secret (RFC 7518 §3.2: as long as the hash)
	maxKID        = 256     // bytes of a key id
	defaultLeeway = 30 * time.Second
)

// VerifierOptions say which credentials hold. At least one of Secret, PublicKeyPEM, JWKSURL and APIKeys must be set.
type VerifierOptions struct {
	Secret       []byte              // shared secret of HS256 tokens, at least 32 bytes
	PublicKeyPEM []byte              // public keys or certificates: RSA (RS256), EC (ES256, ES384, ES512), Ed25519 (EdDSA)
	JWKSURL      string              // where the issuer's key set is
	APIKeys      []APIKey            // see ParseAPIKeys
	Issuer       string              // the iss that tokens must have; "": not checked
	Audience     string              // the aud that tokens must have, maybe among others; "": not checked
	Leeway       time.Duration       // how far the issuer's clock may be ahead (nbf, iat); 0: 30 s, negative: none
	Revocations  *rights.Revocations // tokens that do not hold any more; nil: kept in memory
	HTTPClient   *http.Client        // for JWKSURL; nil: one that follows few redirects
	Logger       *slog.Logger        // nil: slog.Default()
	Now          func() time.Time    // the clock for claims; nil: time.Now
}

// Verifier says whose a token or an API key is. It is safe for concurrent use.
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

// NewVerifier checks the options and starts to fetch the key set, if there is one; ctx ends that. A key set that
// cannot be had is no error here but in Ready, and is tried again. The Verifier must be closed.
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
		v.revoked, _ = rights.NewRevocations(rights.RevocationOptions{Now: v.now}) // fails with a store only
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

// checkSecret refuses what makes HS256 weak: short secrets, and public keys that were put in the wrong place.
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

// parserOptions has the library check all that it can. Each of its checks must be asked for.
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

// Verify returns who the token or API key is from.
//
// Errors: a *TokenError, which matches errs.ErrUnauthenticated and whose text is safe to show; one that matches
// errs.ErrUnavailable if the keys cannot be had now; or ctx's error. No error holds the token.
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
	// The key set is read before the check: if it changes meanwhile, what was checked is not found again.
	hash, keys := sha256.Sum256([]byte(token)), v.keySet()
	if id := v.checked.get(hash, keys, v.now()); id != nil {
		return v.unlessRevoked(id)
	}
	claims := jwt.MapClaims{} // not a struct: its names would match in any case
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

// Revocations returns which tokens do not hold any more. What is revoked there is refused from then on; connections
// that are open are their owners' to end.
func (v *Verifier) Revocations() *rights.Revocations { return v.revoked }

// keySet returns the fetched key set, nil where there is none.
func (v *Verifier) keySet() *[]publicKey {
	if v.jwks == nil {
		return nil
	}
	return v.jwks.set.Load()
}

// isCompactJWS checks the alphabet of RFC 7515 §7.1. Go's base64 decoder skips line breaks, which would give a
// token many spellings.
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

// keysFor returns the keys that may have signed a token. Of its header only alg (already held against the accepted
// ones) and kid count; kid is compared with those of the key set and used for nothing else. jwk, jku, x5c and x5u
// are never looked at.
func (v *Verifier) keysFor(ctx context.Context, t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		// RFC 7515 §4.1.11: extensions that are not understood; we understand none.
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
		return keys, nil // its kid, which the key set does not know, is no reason to fetch
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

// keyID returns a header's kid, "" where it has none.
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

// Ready returns nil once every key that is needed is there: at once, or when the key set was first fetched. Its
// error matches errs.ErrUnavailable.
func (v *Verifier) Ready() error {
	if v.jwks == nil {
		return nil
	}
	return v.jwks.ready()
}

// Close ends the fetching of the key set, and waits for it. Verify may still be called; it fetches nothing any more.
func (v *Verifier) Close() {
	v.cancel()
	v.wg.Wait()
}
