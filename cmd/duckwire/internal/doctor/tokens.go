package doctor

import "strings"

// checkTokens checks for settings with which the server would accept forged tokens, or tokens for other programs.
func (l *Local) checkTokens(r *Report) {
	if l.JWTSecret != "" && isGuessable(l.JWTSecret) {
		r.Warn("secrets", "make one with: openssl rand -base64 32",
			"jwt_secret is long enough, but looks as if one could guess it")
	}
	if l.JWKSURL != "" && l.Audience == "" {
		r.Warn("audience", "set jwt_audience to what your issuer writes into aud for Duckwire, and jwt_issuer",
			"jwt_audience is not set: tokens that the key set's owner issues for other programs are taken, too")
	}
}

// isGuessable reports whether a secret is periodic or has fewer than 10 different characters. 32 random bytes have
// about 30 in base64, and up to 16 in hex.
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
