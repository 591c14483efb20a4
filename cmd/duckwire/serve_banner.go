package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/address"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
)

// The user and the rights of the token that --dev prints.
const (
	devUser     = "dev"
	devTokenTTL = 30 * 24 * time.Hour
)

var devCaps = capabilities{"*": {"*"}}

const bannerText = `
  Duckwire is ready at %[1]s (development mode; secret in %[2]s)

  Paste this into another terminal and watch a completion stream:

%[4]s/v1/completions -H 'Authorization: Bearer %[3]s' -H 'Content-Type: application/json' -d '{"model":"duckwire-local","stream":true,"prompt":"app.get(\"/users\", (req, res) => {\n  res.json(db.users.all());\n});\napp.get(\"/orders\", (req, res) => {\n  res.json(db.orders.all());\n});\napp.get(\"/items\","}'

  Or open the console in a browser: write code with completions in grey, cut the connection, and watch them go on

    %[5]s

  Other commands of duckwire, and your own scripts, find the server by

    export DUCKWIRE_URL=%[1]s
    export DUCKWIRE_TOKEN=%[3]s

`

// curlUnix returns the beginning of a command that sends a request to a Unix socket.
func curlUnix(path string) string {
	flag := "--unix-socket "
	if name, abstract := strings.CutPrefix(path, "@"); abstract {
		flag, path = "--abstract-unix-socket ", name
	}
	return "curl -N " + flag + path + " " + address.UnixHost
}

// printBanner prints for developers how to try the server: the URL, a token, and lines to paste.
func printBanner(w io.Writer, cfg *config.Config, url string) error {
	token, err := signToken(cfg.JWTSecret, tokenClaims{
		user: devUser, caps: devCaps, ttl: devTokenTTL, issuer: cfg.JWTIssuer, audience: cfg.JWTAudience,
	})
	if err != nil {
		return err
	}
	curl, console := "curl -N "+url, url+"/?token="+token
	if path, ok := address.Unix(url); ok {
		curl, console = curlUnix(path), "through a proxy in front of the socket, at "+cfg.BasePath+"/?token="+token
	}
	_, err = fmt.Fprintf(w, bannerText, url, config.DevSecretPath(cfg.DataDir), token, curl, console)
	return err
}
