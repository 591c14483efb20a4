package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/MicahParks/jwkset"
)

// Limits of a key set.
const (
	maxJWKSBytes = 1 << 20
	maxJWKSKeys  = 256
)

// fetchKeySet fetches a key set over HTTP. It also returns the reasons why some of its keys are not used, one line
// each.
func fetchKeySet(ctx context.Context, client *http.Client, url string) ([]publicKey, []string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("the answer has the status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxJWKSBytes+1))
	if err != nil {
		return nil, nil, err
	}
	return parseKeySet(body)
}

// parseKeySet parses a JWK Set (RFC 7517 §5). It returns the keys for signatures, of the types that newPublicKey
// supports. Others, in particular symmetric keys, are skipped, as RFC 7517 §5 requires, with a reason in skipped.
func parseKeySet(body []byte) (keys []publicKey, skipped []string, err error) {
	if len(body) > maxJWKSBytes {
		return nil, nil, fmt.Errorf("the key set has more than %d bytes", maxJWKSBytes)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		// not wrapped: the library's text may quote the body
		return nil, nil, errors.New("the answer is no JSON object")
	}
	switch {
	case set.Keys == nil:
		return nil, nil, errors.New(`the answer has no member "keys"`)
	case len(set.Keys) > maxJWKSKeys:
		return nil, nil, fmt.Errorf("the key set has %d keys; at most %d are allowed", len(set.Keys), maxJWKSKeys)
	}
	for i, raw := range set.Keys {
		key, err := parseJWK(raw)
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("key %d: %v", i, err))
			continue
		}
		keys = append(keys, key)
	}
	return keys, skipped, nil
}

// parseJWK parses one key (RFC 7517 §4). If it has use, key_ops or alg, these must allow the key to verify signatures.
func parseJWK(raw json.RawMessage) (publicKey, error) {
	jwk, err := jwkset.NewJWKFromRawJSON(raw, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return publicKey{}, errors.New("it is of no supported type, or damaged")
	}
	m := jwk.Marshal()
	if m.USE != "" && m.USE != jwkset.UseSig {
		return publicKey{}, fmt.Errorf("its use is %.20q", m.USE)
	}
	if len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify) {
		return publicKey{}, errors.New("its key_ops lack verify")
	}
	if len(m.KID) > maxKID {
		return publicKey{}, fmt.Errorf("its kid has more than %d bytes", maxKID)
	}
	key, err := newPublicKey(m.KID, jwk.Key())
	if err != nil {
		return publicKey{}, err
	}
	// RFC 9864 also names EdDSA with this curve Ed25519.
	if alg := m.ALG.String(); alg != "" && alg != key.alg && !(alg == "Ed25519" && key.alg == "EdDSA") {
		return publicKey{}, fmt.Errorf("its alg is %.20q", alg)
	}
	return key, nil
}
