package openai

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/duckwire/duckwire/hub"
)

const (
	maxRefusal = 64 << 10 // maximum bytes read of an error's body
	maxMessage = 500      // maximum bytes of the upstream's text that a message quotes
)

// failure returns a *hub.ProviderError for a fault of this server or the upstream.
func failure(status int, code, format string, args ...any) *hub.ProviderError {
	return &hub.ProviderError{Status: status, Code: code, Type: "server_error", Message: fmt.Sprintf(format, args...)}
}

func unusableAddress() *hub.ProviderError {
	return failure(http.StatusBadGateway, "upstream_unreachable", "the upstream's address is not usable")
}

// noAnswer returns the error for a request that failed with err. Its text contains no address.
func noAnswer(err error) *hub.ProviderError {
	return failure(http.StatusBadGateway, "upstream_unreachable", "%s", whyUnreachable(err))
}

// refusal converts an answer with another status than 200 to the error for the client.
func (p *Provider) refusal(resp *http.Response, body []byte) *hub.ProviderError {
	status := resp.StatusCode
	switch {
	case status == http.StatusUnauthorized:
		return unauthorized()
	case status >= 300 && status < 400:
		return failure(http.StatusBadGateway, "upstream_redirect",
			"the upstream redirects (%d) and redirects are not followed; its address must be configured as it is",
			status)
	case status < 400:
		return failure(http.StatusBadGateway, "upstream_invalid", "the upstream answered %d where 200 was expected",
			status)
	}
	e := p.reported(status, body)
	if e.Message == "" {
		e.Message = fmt.Sprintf("the upstream answered %d %s", status, http.StatusText(status))
		if words := p.quote(body); words != "" {
			e.Message += ": " + words
		}
	}
	e.RetryAfter = hub.RetryAfter(resp.Header, time.Now())
	e.Header = retryHeaders(resp.Header)
	return e
}

// fault converts an error within an answer, in compact JSON, to the error for the client.
func (p *Provider) fault(body []byte) *hub.ProviderError {
	e := p.reported(0, body)
	if e.Message == "" {
		e.Message = "the upstream reported an error: " + p.quote(body)
	}
	return e
}

// reported parses an error of the upstream. status is the answer's status, or 0 within an answer. Message is "" if the
// body has no words that are understood.
func (p *Provider) reported(status int, body []byte) *hub.ProviderError {
	words := readError([]byte(p.redact(string(bytes.ToValidUTF8(body, []byte("\ufffd"))))))
	e := &hub.ProviderError{
		Status: cmp.Or(status, words.status, http.StatusBadGateway), Code: cmp.Or(words.code, "upstream_error"),
		Type: words.typ, Param: words.param, Message: words.message, Body: words.object,
	}
	if e.Status == http.StatusUnauthorized {
		return unauthorized()
	}
	if e.Type == "" {
		e.Type = typeOf(e.Status)
	}
	return e
}

// unauthorized is the error for the client if this server's key is invalid. It has neither the upstream's text, which
// may contain the key, nor its status, because the client would blame its own key.
func unauthorized() *hub.ProviderError {
	return failure(http.StatusBadGateway, "upstream_unauthorized",
		"the upstream refuses this server's key (401); whoever runs the server must set another")
}

// quote returns the upstream's text for a message, on one line and shortened, without the key.
func (p *Provider) quote(body []byte) string {
	text := strings.Join(strings.Fields(p.redact(string(bytes.ToValidUTF8(body, []byte("\ufffd"))))), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}

// redact removes the key from the upstream's text.
func (p *Provider) redact(s string) string {
	if p.opts.Key == "" {
		return s
	}
	return strings.ReplaceAll(s, p.opts.Key, "***")
}

func typeOf(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status >= 400 && status < 500:
		return "invalid_request_error"
	}
	return "server_error"
}

// whyUnreachable describes why a request failed, without naming an address.
func whyUnreachable(err error) string {
	var (
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		timeout net.Error
	)
	switch {
	case errors.As(err, &dns):
		return "the upstream's name cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the upstream refuses connections; is it running?"
	case errors.As(err, &cert):
		return "the upstream's certificate is not trusted"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "the upstream could not be connected to in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "the upstream closed the connection before it answered"
	}
	return "the upstream cannot be reached"
}
