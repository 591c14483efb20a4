package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/address"
	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/auth"
)

// minSecret is the minimum length of an HS256 secret in bytes, which is that of the hash (RFC 7518 §3.2).
const minSecret = 32

// checkAll checks what the settings' types and bounds do not cover.
func checkAll(l *Loaded, set Settings, faults *faults) {
	check := func(key string, err error) {
		if err == nil {
			return
		}
		faults.add(l.From[key], fmt.Errorf("%s: %w", key, err))
	}
	check("addr", address.Check(l.Addr))
	check("base_path", checkBasePath(l.BasePath))
	check("socket_mode", checkSocketMode(l.SocketMode))
	if _, unix := address.Unix(l.Addr); unix && l.TLSCert != "" {
		check("tls_cert", errors.New("cannot be used with a Unix socket: the proxy in front of it has the certificate"))
	}
	if (l.TLSCert == "") != (l.TLSKey == "") {
		check("tls_cert", errors.New("tls_cert and tls_key must be given together"))
	}
	check("jwt_secret", checkSecret(l.JWTSecret))
	check("jwt_public_key", loadPublicKey(&l.JWTPublicKey))
	check("api_keys", checkAPIKeys(l.APIKeys))
	check("jwks_url", checkURL(l.JWKSURL))
	check("authorize_url", checkURL(l.AuthorizeURL))
	check("upstream_url", checkUpstream(l.UpstreamURL))
	check("upstream_paths", checkUpstreamPaths(l.UpstreamPaths))
	checkUpstreams(l, set, faults)
	check("local_corpus", checkFolder(l.LocalCorpus))
	for _, o := range l.AllowedOrigins {
		check("allowed_origins", middleware.CheckOrigin(o))
	}
	_, err := middleware.ParseProxies(l.TrustedProxies)
	check("trusted_proxies", err)
	if l.DataDir == "" {
		check("data_dir", errors.New("must not be empty"))
	}
	if l.MessageBytes > l.BodyBytes {
		const most = "%s is more than a whole body may have (body_bytes is %s)"
		check("message_bytes", fmt.Errorf(most, l.MessageBytes, l.BodyBytes))
	}
	if l.MessageBytes > l.HistoryBytes {
		const most = "%s is more than a topic keeps (history_bytes is %s)"
		check("message_bytes", fmt.Errorf(most, l.MessageBytes, l.HistoryBytes))
	}
}

func checkBasePath(path string) error {
	if err := middleware.CheckBasePath(path); err != nil {
		return err
	}
	if first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/"); slices.Contains(handlers.RootSegments, first) {
		return fmt.Errorf("%q begins like paths of the server's own; choose another", path)
	}
	return nil
}

func checkSocketMode(mode string) error {
	if _, err := strconv.ParseUint(mode, 8, 9); err != nil {
		return fmt.Errorf(`%q must be permissions in octal, such as "0660"`, mode)
	}
	return nil
}

func checkSecret(secret string) error {
	if secret != "" && len(secret) < minSecret {
		return fmt.Errorf("has %d bytes; the least is %d (make one with: openssl rand -base64 32)", len(secret), minSecret)
	}
	return nil
}

// loadPublicKey replaces the path of a PEM file by its text.
func loadPublicKey(key *string) error {
	if *key == "" || strings.Contains(*key, "-----BEGIN ") {
		return nil
	}
	text, err := os.ReadFile(*key)
	if err != nil {
		return fmt.Errorf("is neither PEM text nor a file that can be read: %w", err)
	}
	if !strings.Contains(string(text), "-----BEGIN ") {
		return fmt.Errorf("the file %s holds no PEM text", *key)
	}
	*key = string(text)
	return nil
}

// checkAPIKeys parses the keys as the server does. Its errors contain no key.
func checkAPIKeys(lines []string) error {
	_, err := auth.ParseAPIKeys(strings.Join(lines, "\n"))
	return err
}

func checkURL(text string) error {
	if text == "" {
		return nil
	}
	_, err := parseURL(text)
	return err
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q must be a whole http or https URL", text)
	}
	return u, nil
}

// checkUpstream checks a base URL. Its path is usually /v1, but may be any.
func checkUpstream(text string) error {
	if text == "" {
		return nil
	}
	u, err := parseURL(text)
	switch {
	case err != nil:
		return err
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q must have no query and no fragment", text)
	case strings.HasSuffix(text, "//"):
		return fmt.Errorf("%q must end in one slash or none", text)
	}
	return nil
}

func checkFolder(path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("the folder cannot be read: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder", path)
	}
	return nil
}

// ErrNoKey is the error for a configuration without any means to authenticate clients.
var ErrNoKey = errors.New(`nobody could come in: no secret or key is configured
  to try it here:     duckwire serve --dev
  for a deployment:   set one of DUCKWIRE_JWT_SECRET, DUCKWIRE_JWT_PUBLIC_KEY, DUCKWIRE_JWKS_URL, DUCKWIRE_API_KEYS`)

// CheckServe returns an error if no server can be started with c.
func CheckServe(c *Config) error {
	if !c.Dev && c.JWTSecret == "" && c.JWTPublicKey == "" && c.JWKSURL == "" && len(c.APIKeys) == 0 {
		return ErrNoKey
	}
	return nil
}
