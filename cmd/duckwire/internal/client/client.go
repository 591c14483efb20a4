// Package client sends the requests of the client commands, and decides which are retried.
package client

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

	"github.com/duckwire/duckwire/cmd/duckwire/internal/address"
)

// Timeout is the time limit of a request that is answered at once, including the reading of the answer.
const Timeout = 30 * time.Second

// Client sends requests to one server. Safe for concurrent use.
type Client struct {
	Name  string                 // of the server for people: "http://127.0.0.1:4000" or "unix:/PATH"
	Base  string                 // of its URLs, without a slash at the end
	Token func() (string, error) // its answer "" is no token; nil: none
	HTTP  *http.Client
	Pace  time.Duration // the mean of the first wait before a new attempt
}

// New returns a client of the server at a URL, or at a Unix socket ("unix:/PATH"). token is called before every
// request, and may be nil.
func New(server string, token func() (string, error)) *Client {
	server = strings.TrimSuffix(server, "/")
	tr := newTransport()
	base := address.Reach(tr, server)
	return &Client{
		Name: server, Base: base, Token: token, HTTP: &http.Client{Transport: tr}, Pace: 500 * time.Millisecond,
	}
}

// newTransport returns a transport with time limits for everything but the body, because event streams last for hours.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       30 * time.Second,
	}
}

// Close closes idle connections.
func (c *Client) Close() { c.HTTP.CloseIdleConnections() }

// Call sends one request and returns its answer. body may be nil. A status of 400 or more is an *APIError.
func (c *Client) Call(
	ctx context.Context, method, path string, body any, header ...string,
) (http.Header, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	req, err := c.Request(ctx, method, path, body)
	if err != nil {
		return nil, nil, err
	}
	return c.Do(req, header)
}

// Do sends a request with further headers, each a name and a value, and returns its answer.
func (c *Client) Do(req *http.Request, header []string) (http.Header, []byte, error) {
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, nil, c.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return resp.Header, nil, ReadError(resp)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, c.unreachable(err)
	}
	return resp.Header, text, nil
}

// Post sends a request, retries it until it is answered, and returns the answer. Use it for requests that are
// idempotent.
func (c *Client) Post(ctx context.Context, path string, body any, retry *Retrier) ([]byte, error) {
	for {
		_, text, err := c.Call(ctx, http.MethodPost, path, body)
		if err == nil {
			retry.Contact()
			return text, nil
		}
		if err := retry.After(ctx, err); err != nil {
			return nil, err
		}
	}
}

// Get reads a JSON answer into v.
func (c *Client) Get(ctx context.Context, path string, v any) error {
	_, text, err := c.Call(ctx, http.MethodGet, path, nil, "Accept", "application/json")
	if err != nil {
		return err
	}
	return DecodeAnswer(text, v)
}

// DecodeAnswer decodes a JSON answer into v.
func DecodeAnswer(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("the answer is not what a Duckwire server gives: %w; is DUCKWIRE_URL right?", err)
	}
	return nil
}

// Request creates a request with the client's token. body is sent as JSON, and may be nil.
func (c *Client) Request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var r io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, r)
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
func (c *Client) authorization() (string, error) {
	if c.Token == nil {
		return "", nil
	}
	token, err := c.Token()
	if token == "" || err != nil {
		return "", err
	}
	return "Bearer " + token, nil
}

// unreachable returns the error for a request without an answer: context.Canceled, or that of NoAnswer.
func (c *Client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	return c.NoAnswer(err)
}

// NoAnswer returns the error for a server that did not answer, with advice.
func (c *Client) NoAnswer(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL, which may contain a secret
	}
	return &connectError{base: c.Name, err: err}
}

// StreamPath returns the path of a stream.
func StreamPath(id string) string { return "/v1/streams/" + url.PathEscape(id) }
