package middleware

import (
	"net/url"
	"regexp"
	"strings"
)

// secretParams are the query parameters that carry credentials. They never reach a log.
var secretParams = map[string]bool{
	"token": true, "api_key": true, "access_token": true, "authtoken": true, "auth_token": true, "apikey": true, "password": true, "secret": true,
	"session": true, // of a socket over SSE: its bearer is the client
}

// redacted stands in a log for what must not be there.
const redacted = "REDACTED"

// RedactQuery returns a raw query (without its ?) with the values of parameters that carry credentials replaced. The rest stays as it
// is, well formed or not, but for ; and empty parts; where a name cannot be decoded the value goes too.
func RedactQuery(raw string) string {
	if raw == "" {
		return ""
	}
	var out strings.Builder
	for i, part := range splitQuery(raw) {
		if i > 0 {
			out.WriteByte('&')
		}
		name, _, hasValue := strings.Cut(part, "=")
		out.WriteString(name)
		switch {
		case !hasValue:
		case isSecretParam(name):
			out.WriteString("=" + redacted)
		default:
			out.WriteString(part[len(name):])
		}
	}
	return out.String()
}

// splitQuery splits at & and at ;, which some programs take for one (Go's parser does not).
func splitQuery(raw string) []string {
	return strings.FieldsFunc(raw, func(r rune) bool { return r == '&' || r == ';' })
}

// isSecretParam also sees a name behind percent-encoding, in capitals or with a [key] of a nested form.
func isSecretParam(name string) bool {
	plain, err := url.QueryUnescape(name)
	if err != nil {
		return true
	}
	plain, _, _ = strings.Cut(plain, "[")
	return secretParams[strings.ToLower(plain)]
}

// APIKeyPrefix is how every API key begins, so that secret scanners, people and this package know one.
const APIKeyPrefix = "dwk_"

// tokenShape is what a JWT or an API key looks like, wherever it stands: in a path, say, of a client that put it in the wrong place.
var tokenShape = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*|` + APIKeyPrefix + `[A-Za-z0-9_-]{16,}`)

// LogText makes what comes from outside fit for a log line: without what looks like a token, and not too long.
func LogText(s string) string {
	const most = 1024
	if strings.Contains(s, "eyJ") || strings.Contains(s, APIKeyPrefix) {
		s = tokenShape.ReplaceAllString(s, redacted)
	}
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
