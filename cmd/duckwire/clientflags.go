package main

import (
	"cmp"
	"net"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/address"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
)

// defaultURL is the server that client commands use by default.
const defaultURL = "http://127.0.0.1:4000"

// clientFlags are the flags that all client commands have.
type clientFlags struct{ url, token string }

// addClientFlags adds the flags to cmd.
func addClientFlags(cmd *cobra.Command) *clientFlags {
	f := &clientFlags{}
	cmd.Flags().StringVar(&f.url, "url", "", "the server, or unix:/PATH (default: DUCKWIRE_URL, else "+defaultURL+")")
	cmd.Flags().StringVar(&f.token, "token", "",
		"who you are (default: DUCKWIRE_TOKEN, else a development server's secret)")
	return f
}

// client returns the client that the flags and the environment configure.
func (f *clientFlags) client() (*client.Client, error) {
	base := cmp.Or(f.url, config.ServerURL(), defaultURL)
	local, err := isLocal(base)
	if err != nil {
		return nil, err
	}
	if token := cmp.Or(f.token, config.ServerToken()); token != "" {
		return client.New(base, func() (string, error) { return token, nil }), nil
	}
	if local {
		return client.New(base, localDevToken), nil
	}
	return client.New(base, nil), nil
}

// retrier returns a retrier that gives up after patience (0: never). On a terminal it prints each wait.
func retrier(cmd *cobra.Command, c *client.Client, patience time.Duration) *client.Retrier {
	return client.NewRetrier(c.Pace, patience, client.Noter(cmd.ErrOrStderr()))
}

// server returns the server's URL, without a slash at its end, and a token for it: "" for none.
func (f *clientFlags) server() (base, token string, err error) {
	c, err := f.client()
	if err != nil {
		return "", "", err
	}
	if c.Token != nil {
		token, err = c.Token()
	}
	return c.Name, token, err
}

// isLocal reports whether a server is on this machine. It returns a usage error if server is no URL of one.
func isLocal(server string) (bool, error) {
	if _, ok := address.Unix(server); ok {
		if err := address.Check(server); err != nil {
			return false, usageError{err}
		}
		return true, nil
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return false, usagef("the server's URL %q must look like %s, or unix:/PATH", server, defaultURL)
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback(), nil
}

// localDevToken makes a token with the secret of a development server on this machine, if its data folder can be read.
// It is used for local servers only, so that no other server sees such a token.
func localDevToken() (string, error) {
	// Errors in the server's configuration do not matter here.
	cfg, _ := config.Load(config.Sources{Environ: config.Environ()})
	secret, err := config.ReadDevSecret(cfg.DataDir)
	if err != nil {
		return "", nil // no token: the server's 401 says what to do
	}
	return signToken(secret, tokenClaims{
		user: devUser, caps: devCaps, ttl: time.Hour, issuer: cfg.JWTIssuer, audience: cfg.JWTAudience,
	})
}
