package main

import (
	"bytes"
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
)

// callTimeout bounds one request that is answered at once, its body included.
const callTimeout = 30 * time.Second

// client speaks to a server for the client commands. Safe for concurrent use.
type client struct {
	base  string                 // "http://127.0.0.1:4000", without a slash at the end
	token func() (string, error) // its answer "" is no token; nil: none
	http  *http.Client
	pace  time.Duration // the mean of the first wait before trying again
}

// newClient returns a client of the server at base. token is asked before every request, and may be nil.
func newClient(base string, token func() (string, error)) *client {
	return &client{base: strings.TrimSuffix(base, "/"), token: token, http: newHTTPClient(), pace: 500 * time.Millisecond}
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

// close closes idle connections.
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

// post sends what may be sent again until it is answered, and returns the answer.
func (c *client) post(ctx context.Context, path string, body any, retry *retrier) ([]byte, error) {
	for {
		_, text, err := c.call(ctx, http.MethodPost, path, body)
		if err == nil {
			return text, nil
		}
		if err := retry.after(ctx, err); err != nil {
			return nil, err
		}
	}
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
