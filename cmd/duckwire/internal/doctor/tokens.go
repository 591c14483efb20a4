package doctor

import "strings"

// checkTokens looks for what would let in tokens that nobody meant for this server.
func (l *Local) checkTokens(r *Report) {
	if l.JWTSecret != "" && isGuessable(l.JWTSecret) {
		r.Warn("secrets", "make one with: openssl rand -base64 32", "jwt_secret is long enough, but looks as if one could guess it")
	}
	if l.JWKSURL != "" && l.Audience == "" {
		r.Warn("audience", "set jwt_audience to what your issuer writes into aud for Duckwire, and jwt_issuer",
			"jwt_audience is not set: tokens that the key set's owner issues for other programs are taken, too")
	}
}

// isGuessable reports whether a secret repeats itself, or has few different characters. 32 random bytes in base64 have about 30, in hex 16.
func isGuessable(secret string) bool {
	seen := map[byte]bool{}
	for i := range len(secret) {
		seen[secret[i]] = true
	}
	for n := 1; n <= len(secret)/2; n++ {
		if strings.HasPrefix(strings.Repeat(secret[:n], len(secret)/n+1), secret) {
			return true
		}
	}
	return len(seen) < 10
}
