package main

import (
	"fmt"
	"io"
	"time"
)

// The user and the rights of the token that --dev prints.
const (
	devUser     = "dev"
	devTokenTTL = 30 * 24 * time.Hour
)

var devCaps = capabilities{"*": {"*"}}

const bannerText = `
  Duckwire is ready at %[1]s (development mode; secret in %[2]s)

    export DUCKWIRE_URL=%[1]s
    export DUCKWIRE_TOKEN=%[3]s

  Paste the two lines above, then one of these, into another terminal:

    duckwire complete 'def add(a, b):'

    curl -N $DUCKWIRE_URL/v1/completions -H "Authorization: Bearer $DUCKWIRE_TOKEN" \
      -H 'Content-Type: application/json' -d '{"stream": true, "model": "duckwire-local",
      "prompt": "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b\n\ndef mul(a, b):\n"}'

`

// printBanner tells a developer how to try the server: the URL, a token, and lines to paste.
func printBanner(w io.Writer, cfg *Config, url string) error {
	token, err := signToken(cfg.JWTSecret, tokenClaims{
		user: devUser, caps: devCaps, ttl: devTokenTTL, issuer: cfg.JWTIssuer, audience: cfg.JWTAudience,
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, bannerText, url, devSecretPath(cfg.DataDir), token)
	return err
}
