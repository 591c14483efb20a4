package middleware

import (
	"net/url"
	"regexp"
	"strings"
)

// secretParams are the query parameters that carry credentials and must not be logged.
var secretParams = map[string]bool{
	"token": true, "api_key": true, "access_token": true, "authtoken": true, "auth_token": true, "apikey": true,
	"password": true, "secret": true,
	"api-key": true, "x-api-key": true, "authorization": true, // headers, mistakenly sent in the query
	"session": true, // of a socket over SSE: whoever knows it acts as the client
}

// redacted replaces credentials in the log.
const redacted = "REDACTED"

// RedactQuery returns a raw query (without its ?) with the values of parameters that carry credentials replaced. The
// rest is unchanged, well formed or not, except that ; becomes & and empty parts are dropped. If a name cannot be
// decoded, its value is replaced, too.
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

// splitQuery splits at & and at ;, which some programs treat as a separator (net/url does not).
func splitQuery(raw string) []string {
	return strings.FieldsFunc(raw, func(r rune) bool { return r == '&' || r == ';' })
}

// isSecretParam also recognizes names that are percent-encoded, in capitals, or with the [key] of a nested form. A name
// that cannot be decoded counts as secret.
func isSecretParam(name string) bool {
	plain, err := url.QueryUnescape(name)
	if err != nil {
		return true
	}
	plain, _, _ = strings.Cut(plain, "[")
	return secretParams[strings.ToLower(plain)]
}

// APIKeyPrefix begins every generated API key, so that secret scanners, people and this package recognize one.
const APIKeyPrefix = "dwk_"

// tokenShape matches JWTs and API keys anywhere in a text, such as in the path of a client's mistaken request.
var tokenShape = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*|` + APIKeyPrefix + `[A-Za-z0-9_-]{16,}`)

// LogText prepares text from outside for a log line: it redacts what looks like a token and truncates long texts.
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
