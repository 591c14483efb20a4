package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
)

const (
	apiKeyHashPrefix = "sha256:" // of a key's hash
	apiKeyBytes      = 32        // of randomness in a new key
	minAPIKey        = 32        // characters of a key
	maxAPIKeyName    = 64
	maxAPIKeys       = 1000
)

// APIKey is a configured API key. It has the key's hash only.
type APIKey struct {
	Name string      // becomes the identity's user and token id
	Hash [32]byte    // SHA-256 of the key; keys are random, so a slow password hash is not needed
	Caps rights.Caps // what it allows
}

// defaultAPIKeyCaps are the capabilities of keys that are configured without any: every action but admin and
// act, by which a key would be every user.
var defaultAPIKeyCaps = map[string][]string{"*": {
	string(rights.ActionSubscribe), string(rights.ActionPublish), string(rights.ActionPresence),
	string(rights.ActionComplete), string(rights.ActionProduce), string(rights.ActionQueue),
}}

// NewAPIKey generates a key of 32 random bytes, written as dwk_ and 43 characters of [A-Za-z0-9_-], and its hash as
// sha256:HEX for the configuration. The caller should show the key once and not store it.
func NewAPIKey() (plaintext, hash string) {
	var b [apiKeyBytes]byte
	_, _ = rand.Read(b[:]) // never fails: it would end the program
	plaintext = middleware.APIKeyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	sum := sha256.Sum256([]byte(plaintext))
	return plaintext, apiKeyHashPrefix + hex.EncodeToString(sum[:])
}

// ParseAPIKeys parses configured keys, separated by commas or line breaks:
//
//	[NAME=]KEY[;PATTERN=ACTION|ACTION…]…
//
// KEY is sha256: and 64 hex digits, as NewAPIKey returns them, or the key itself: at least 32 characters without
// spaces, of which only the hash is stored. NAME is 1 to 64 characters of [A-Za-z0-9._-]; the default is "key-" and the
// first 8 hex digits of the hash. A PATTERN is a capability pattern (see rights.ParseCaps; {sub} is the name). Without
// patterns the key allows every action but admin and act on every topic. Names and keys must be unique. Errors contain
// the entry's number, and never the key.
func ParseAPIKeys(s string) ([]APIKey, error) {
	var keys []APIKey
	entries := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' })
	for i, entry := range entries {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		key, err := parseAPIKey(entry)
		if err != nil {
			return nil, fmt.Errorf("API key %d: %w", i+1, err)
		}
		keys = append(keys, key)
	}
	if err := checkAPIKeys(keys); err != nil {
		return nil, err
	}
	return keys, nil
}

// parseAPIKey parses one entry.
func parseAPIKey(entry string) (APIKey, error) {
	parts := strings.Split(entry, ";")
	name, text := splitAPIKeyName(parts[0])
	key := APIKey{Name: name}
	var err error
	if key.Hash, err = apiKeyHash(text); err != nil {
		return APIKey{}, err
	}
	if key.Name == "" {
		key.Name = fmt.Sprintf("key-%x", key.Hash[:4])
	}
	raw := defaultAPIKeyCaps
	if len(parts) > 1 {
		if raw, err = apiKeyCaps(parts[1:]); err != nil {
			return APIKey{}, err
		}
	}
	key.Caps, err = rights.ParseCaps(raw, key.Name)
	return key, err
}

// splitAPIKeyName separates the name from the key. A = may also be base64 padding at the end of a key without a name:
// then what follows it is too short to be a key.
func splitAPIKeyName(s string) (name, text string) {
	before, after, ok := strings.Cut(s, "=")
	before, after = strings.TrimSpace(before), strings.TrimSpace(after)
	isKey := strings.HasPrefix(after, apiKeyHashPrefix) || len(before) < minAPIKey || len(after) >= minAPIKey
	if ok && validAPIKeyName(before) && isKey {
		return before, after
	}
	return "", strings.TrimSpace(s)
}

const apiKeyNameChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

func validAPIKeyName(s string) bool {
	return s != "" && len(s) <= maxAPIKeyName && strings.Trim(s, apiKeyNameChars) == ""
}

// apiKeyHash decodes a hash, or computes the hash of a key in plain text.
func apiKeyHash(text string) (sum [32]byte, err error) {
	if digits, ok := strings.CutPrefix(text, apiKeyHashPrefix); ok {
		if len(digits) != hex.EncodedLen(len(sum)) {
			return sum, fmt.Errorf("sha256: must be followed by 64 hex digits, not %d characters", len(digits))
		}
		if _, err := hex.Decode(sum[:], []byte(digits)); err != nil {
			return sum, errors.New("sha256: must be followed by 64 hex digits")
		}
		return sum, nil
	}
	switch {
	case len(text) < minAPIKey:
		return sum, fmt.Errorf("has %d characters; at least %d are needed, and 'duckwire apikey' makes good ones",
			len(text), minAPIKey)
	case len(text) > MaxToken:
		return sum, fmt.Errorf("has more than %d characters", MaxToken)
	case strings.Contains(text, apiKeyHashPrefix):
		return sum, errors.New("holds a hash, but not in the form NAME=sha256:HEX")
	case strings.ContainsAny(text, " \t") || hasControl(text):
		return sum, errors.New("holds a space or a control character")
	}
	return sha256.Sum256([]byte(text)), nil
}

// apiKeyCaps parses PATTERN=ACTION|ACTION parts. The actions of a repeated pattern are combined.
func apiKeyCaps(parts []string) (map[string][]string, error) {
	caps := map[string][]string{}
	for _, part := range parts {
		part = strings.TrimSpace(part)
		i := strings.LastIndexByte(part, '=') // actions contain no =
		if i <= 0 {
			return nil, errors.New("what follows a ; must be PATTERN=ACTION|ACTION")
		}
		caps[part[:i]] = append(caps[part[:i]], strings.Split(part[i+1:], "|")...)
	}
	return caps, nil
}

// checkAPIKeys rejects too many keys, incomplete keys, and keys with the same name or hash.
func checkAPIKeys(keys []APIKey) error {
	if len(keys) > maxAPIKeys {
		return fmt.Errorf("API keys: there are %d; at most %d are allowed", len(keys), maxAPIKeys)
	}
	names, hashes := map[string]bool{}, map[[32]byte]string{}
	for _, k := range keys {
		other, twice := hashes[k.Hash]
		switch {
		case k.Name == "" || k.Hash == [32]byte{}:
			return errors.New("API keys: one has no name or no hash")
		case names[k.Name]:
			return fmt.Errorf("API keys: the name %q occurs twice", k.Name)
		case twice:
			return fmt.Errorf("API keys: %q and %q are the same key", other, k.Name)
		}
		names[k.Name], hashes[k.Hash] = true, k.Name
	}
	return nil
}

// findAPIKey returns the identity of an API key, or nil if it is unknown. It compares with every key in constant time,
// so that timing reveals nothing about the keys.
func (v *Verifier) findAPIKey(plaintext string) *rights.Identity {
	if len(v.apiKeys) == 0 {
		return nil
	}
	sum := sha256.Sum256([]byte(plaintext))
	found := -1
	for i := range v.apiKeys {
		same := subtle.ConstantTimeCompare(sum[:], v.apiKeys[i].Hash[:])
		found = subtle.ConstantTimeSelect(same, i, found)
	}
	if found < 0 {
		return nil
	}
	k := &v.apiKeys[found]
	return &rights.Identity{User: k.Name, Caps: k.Caps, TokenID: k.Name, Service: true}
}
