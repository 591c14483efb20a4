package doctor

import (
	"context"
	"net/http"
	"strings"

	"github.com/duckwire/duckwire/middleware/auth"
)

// checkKeySet fetches the key set as the server does.
func (l *Local) checkKeySet(ctx context.Context, r *Report, client *http.Client) {
	const check = "key set"
	if l.JWKSURL == "" {
		return
	}
	if isPlain(l.JWKSURL) {
		r.Warn(check, "use https in jwks_url",
			"it comes over plain http: whoever is on the way can put in a key, and sign tokens")
	}
	keys, skipped, err := auth.TryKeySet(ctx, client, l.JWKSURL)
	switch {
	case err != nil:
		r.Broken(check,
			"see whether jwks_url is right, and reachable from here; until then no token is taken that it signs",
			"it cannot be had: %v", withoutURL(err))
	case keys == 0:
		r.Broken(check, "publish a key for signatures: RS256, ES256 or EdDSA", "it holds no key that can be used%s",
			reasons(skipped))
	case len(skipped) > 0:
		r.Fine(check, "%d keys, and some that are not for us%s", keys, reasons(skipped))
	default:
		r.Fine(check, "%d keys", keys)
	}
}

func reasons(skipped []string) string {
	if len(skipped) == 0 {
		return ""
	}
	return ":\n" + strings.Join(skipped, "\n")
}
