package auth

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/rights"
)

// tokenCacheSize is the maximum number of cached tokens.
const tokenCacheSize = 10_000

// tokenCache caches the identities of tokens whose signature was valid, so that a token which is sent with each request
// is verified once: verification is most of the cost of a small append. It stores hashes of tokens. What can change is
// checked each time: whether the token has expired, and whether the key set is still the one that verified it. The zero
// value is ready to use. It is safe for concurrent use.
type tokenCache struct {
	mu     sync.RWMutex
	tokens map[[sha256.Size]byte]cachedToken
}

type cachedToken struct {
	identity *rights.Identity
	keys     *[]publicKey // the key set that verified the token; nil without a JWKS URL
}

// get returns the token's identity if it was verified with these keys and has not expired, otherwise nil.
func (c *tokenCache) get(hash [sha256.Size]byte, keys *[]publicKey, now time.Time) *rights.Identity {
	c.mu.RLock()
	t, ok := c.tokens[hash]
	c.mu.RUnlock()
	if !ok || t.keys != keys || !now.Before(t.identity.Expires) {
		return nil
	}
	return t.identity
}

// put adds a token. If the cache is full, it removes an arbitrary one, which will be verified again.
func (c *tokenCache) put(hash [sha256.Size]byte, keys *[]publicKey, id *rights.Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil {
		c.tokens = make(map[[sha256.Size]byte]cachedToken)
	}
	if _, known := c.tokens[hash]; !known && len(c.tokens) >= tokenCacheSize {
		for other := range c.tokens {
			delete(c.tokens, other)
			break
		}
	}
	c.tokens[hash] = cachedToken{id, keys}
}
