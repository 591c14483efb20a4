package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
)

// defaultURL is where client commands look for a server.
const defaultURL = "http://127.0.0.1:4000"

// callTimeout bounds one request that is answered at once, its body included.
const callTimeout = 30 * time.Second

// client speaks to a server for the client commands. Safe for concurrent use.
type client struct {
	base  string                 // "http://127.0.0.1:4000", without a slash at the end
	token func() (string, error) // asked before every request; "" for none
	http  *http.Client
	pace  time.Duration // the mean of the first wait before trying again
}

// clientFlags are the flags that all client commands have.
type clientFlags struct{ url, token string }

func addClientFlags(cmd *cobra.Command) *clientFlags {
	f := &clientFlags{}
	cmd.Flags().StringVar(&f.url, "url", "", "the server (default: DUCKWIRE_URL, else "+defaultURL+")")
	cmd.Flags().StringVar(&f.token, "token", "", "who you are (default: DUCKWIRE_TOKEN, else a development server's secret)")
	return f
}

// client returns the client that the flags and the environment ask for.
func (f *clientFlags) client() (*client, error) {
	base := cmp.Or(f.url, config.ServerURL(), defaultURL)
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usagef("the server's URL %q must look like %s", base, defaultURL)
	}
	c := &client{base: strings.TrimSuffix(base, "/"), http: newHTTPClient(), pace: 500 * time.Millisecond}
	if token := cmp.Or(f.token, config.ServerToken()); token != "" {
		c.token = func() (string, error) { return token, nil }
	} else if isLocal(u.Hostname()) {
		c.token = localDevToken
	}
	return c, nil
}

func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// localDevToken makes a token with the secret of a development server on this machine, if its data folder can be read. It is asked for local
// servers only, so that no other ever sees one.
func localDevToken() (string, error) {
	cfg, _ := config.Load(config.Sources{Environ: config.Environ()}) // a faulty configuration is no client's concern
	secret, err := config.ReadDevSecret(cfg.DataDir)
	if err != nil {
		return "", nil // no token: the server's 401 says what to do
	}
	return signToken(secret, tokenClaims{user: devUser, caps: devCaps, ttl: time.Hour, issuer: cfg.JWTIssuer, audience: cfg.JWTAudience})
}

func newHTTPClient() *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       30 * time.Second,
	}}
}

// close lets go of idle connections.
func (c *client) close() { c.http.CloseIdleConnections() }

// call sends one request and returns its answer. body may be nil. A status of 400 or more is an *apiError.
func (c *client) call(ctx context.Context, method, path string, body any, header ...string) (http.Header, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := c.request(ctx, method, path, body)
	if err != nil {
		return nil, nil, err
	}
	return c.do(req, header)
}

// do sends a request with more headers, each a name and a value, and returns its answer.
func (c *client) do(req *http.Request, header []string) (http.Header, []byte, error) {
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, c.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return resp.Header, nil, readError(resp)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, c.unreachable(err)
	}
	return resp.Header, text, nil
}

// get reads a JSON answer into v.
func (c *client) get(ctx context.Context, path string, v any) error {
	_, text, err := c.call(ctx, http.MethodGet, path, nil, "Accept", "application/json")
	if err != nil {
		return err
	}
	return decodeAnswer(text, v)
}

// decodeAnswer reads a JSON answer.
func decodeAnswer(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("the answer is not what a Duckwire server gives: %w; is DUCKWIRE_URL right?", err)
	}
	return nil
}

func (c *client) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var r io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, r)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	auth, err := c.authorization()
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	return req, err
}

// authorization returns the Authorization header for one request, or "".
func (c *client) authorization() (string, error) {
	if c.token == nil {
		return "", nil
	}
	token, err := c.token()
	if token == "" || err != nil {
		return "", err
	}
	return "Bearer " + token, nil
}

// unreachable is the error of a request: that of its context, or what to do next.
func (c *client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	return c.noAnswer(err)
}

func (c *client) noAnswer(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL, which may hold a secret
	}
	return &connectError{base: c.base, err: err}
}

// connectError is a server that did not answer.
type connectError struct {
	base string
	err  error
}

func (e *connectError) Error() string {
	return fmt.Sprintf("no answer from %s (%v)\n  is the server running? start one with 'duckwire serve --dev', or set DUCKWIRE_URL", e.base, e.err)
}

func (e *connectError) Unwrap() error { return e.err }

// isAbsent reports whether err says that nobody listens there.
func isAbsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
