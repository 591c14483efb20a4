package auth

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/rights"
)

// tokenCacheSize is how many tokens are remembered.
const tokenCacheSize = 10_000

// tokenCache remembers tokens whose signature was valid, so that one which comes with each request is checked once:
// the check is most of what a small append costs. It has hashes, not tokens. What can change is checked each time:
// whether the token has expired, and whether the key set is still the one that it was checked with. The zero value
// is ready. Safe for concurrent use.
type tokenCache struct {
	mu     sync.RWMutex
	tokens map[[sha256.Size]byte]cachedToken
}

type cachedToken struct {
	identity *rights.Identity
	keys     *[]publicKey // the key set at that time; nil without one
}

// get returns whose the token is, if it was checked with these keys and has not expired.
func (c *tokenCache) get(hash [sha256.Size]byte, keys *[]publicKey, now time.Time) *rights.Identity {
	c.mu.RLock()
	t, ok := c.tokens[hash]
	c.mu.RUnlock()
	if !ok || t.keys != keys || !now.Before(t.identity.Expires) {
		return nil
	}
	return t.identity
}

// put remembers a token. When there are too many, any one makes room: it will be checked again.
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
