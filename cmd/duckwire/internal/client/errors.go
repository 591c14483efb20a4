package client

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// APIError is an error response of the server: a problem document (RFC 9457), or OpenAI's error object.
type APIError struct {
	Status     int
	Code       string
	Detail     string
	Field      string
	RetryAfter time.Duration // 0: the server did not say
}

// Error returns the code, the detail and advice.
func (e *APIError) Error() string {
	text := cmp.Or(e.Code, strconv.Itoa(e.Status)) + ": " + cmp.Or(e.Detail, http.StatusText(e.Status))
	if e.Field != "" {
		text += " (" + e.Field + ")"
	}
	switch e.Status {
	case http.StatusUnauthorized:
		text += "\n  give a token with --token or DUCKWIRE_TOKEN; " +
			"'duckwire token --user YOU' makes one where the server's secret is"
	case http.StatusForbidden:
		text += "\n  the token does not allow it; 'duckwire token --help' tells how to make one that does"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if e.RetryAfter > 0 {
			text += fmt.Sprintf("\n  try again in %s", e.RetryAfter)
		}
	}
	return text
}

// ByeError is the end of an event stream after which the server expects a new request (openapi.yaml: Bye).
type ByeError struct {
	Reason string
	Retry  time.Duration `json:"-"` // how long to wait before that request
}

func (e *ByeError) Error() string { return "the server closes: " + e.Reason }

// connectError is a server that did not answer.
type connectError struct {
	base string
	err  error
}

func (e *connectError) Error() string {
	return fmt.Sprintf("no answer from %s (%v)\n"+
		"  is the server running? start one with 'duckwire serve --dev', or set DUCKWIRE_URL", e.base, e.err)
}

func (e *connectError) Unwrap() error { return e.err }

// isAbsent reports whether nothing listens at the server's address.
func isAbsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// maxProblem is how much of an error's body is read, in bytes.
const maxProblem = 64 << 10

// ReadError reads a response of status 400 or more. It does not close the body.
func ReadError(resp *http.Response) error {
	e := &APIError{Status: resp.StatusCode}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	var doc struct {
		Code, Title, Detail, Field string
		Error                      struct{ Message, Type, Code string }
	}
	_ = json.Unmarshal(text, &doc) // a proxy's page is not JSON; then only the status is known
	e.Code = cmp.Or(doc.Code, doc.Error.Code, doc.Error.Type)
	e.Detail = cmp.Or(doc.Detail, doc.Error.Message, doc.Title)
	e.Field = doc.Field
	return e
}

// heals reports whether a retry may succeed: after a network failure, an answer of an overloaded or restarting server,
// or one of a proxy that cannot reach its server.
func heals(err error) bool {
	var api *APIError
	if errors.As(err, &api) {
		switch api.Status {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	var conn *connectError
	var bye *ByeError
	return errors.As(err, &conn) || errors.As(err, &bye)
}

// retryAfter returns how long the server asked the client to wait, or 0.
func retryAfter(err error) time.Duration {
	var api *APIError
	if errors.As(err, &api) {
		return api.RetryAfter
	}
	var bye *ByeError
	if errors.As(err, &bye) {
		return bye.Retry
	}
	return 0
}
