package openai

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

const (
	maxRefusal = 64 << 10 // maximum bytes read of an error's body
	maxMessage = 500      // maximum bytes of an error message in plain text
)

// failure returns a *hub.ProviderError for a fault of this server or the upstream.
func failure(status int, code, format string, args ...any) *hub.ProviderError {
	return &hub.ProviderError{Status: status, Code: code, Type: "server_error", Message: fmt.Sprintf(format, args...)}
}

// refusal converts an answer with another status than 200 to the error for the client.
func (p *Provider) refusal(resp *http.Response, body []byte) *hub.ProviderError {
	status := resp.StatusCode
	switch {
	case isUnauthorized(status):
		return unauthorized(status)
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
		kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if kind == "text/plain" && utf8.Valid(body) && len(body) <= maxMessage {
			e.Message += ": " + strings.TrimSpace(p.redact(string(body)))
		}
	}
	e.RetryAfter = retryAfter(resp.Header, time.Now())
	return e
}

// reported parses an error object of the upstream: OpenAI's {"error":{"message","type","param","code"}}, Ollama's
// {"error":"text"}, vLLM's bare {"message",…}, or FastAPI's {"detail":"text"}. status is the answer's status, or 0
// within a stream.
func (p *Provider) reported(status int, body []byte) *hub.ProviderError {
	e := &hub.ProviderError{Status: status, Code: "upstream_error"}
	body = bytes.ToValidUTF8([]byte(p.redact(string(body))), []byte("\ufffd"))
	var line bytes.Buffer
	if json.Compact(&line, body) == nil {
		readError(e, line.Bytes())
	}
	if isUnauthorized(e.Status) {
		return unauthorized(e.Status)
	}
	if e.Status == 0 {
		e.Status = http.StatusBadGateway
	}
	if e.Type == "" {
		e.Type = typeOf(e.Status)
	}
	return e
}

func isUnauthorized(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// unauthorized is the error for the client if this server's key is invalid. It has neither the upstream's text, which
// may contain the key, nor its status, because the client would blame its own key.
func unauthorized(status int) *hub.ProviderError {
	return failure(http.StatusBadGateway, "upstream_unauthorized",
		"the upstream refuses this server's key (%d); whoever runs the server must set another", status)
}

// readError parses an error object in compact JSON. A numeric code is used as the status if there is none.
func readError(e *hub.ProviderError, body []byte) {
	inner := body
	for name, value := range jsonw.Members(body) {
		switch string(name) {
		case "error":
			if value[0] == '{' {
				inner, e.Body = value, body
			} else if s, ok := jsonw.String(value); ok {
				e.Message = s
			}
		case "detail":
			if s, ok := jsonw.String(value); ok {
				e.Message = s
			}
		}
	}
	for name, value := range jsonw.Members(inner) {
		s, isString := jsonw.String(value)
		switch string(name) {
		case "message":
			e.Message = s
		case "type":
			e.Type = s
		case "param":
			e.Param = s
		case "code":
			if isString && s != "" {
				e.Code = s
			} else if n, err := strconv.Atoi(string(value)); err == nil && e.Status == 0 && n >= 400 && n <= 599 {
				e.Status = n
			}
		}
	}
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

// retryAfter parses OpenAI's retry-after-ms, or Retry-After in seconds or as a date (RFC 9110 §10.2.3). It returns 0
// if there is neither.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 && ms < 1e9 {
		return time.Duration(ms * float64(time.Millisecond))
	}
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds < 1e6 {
		// 0 in the header means at once, and 0 as a result means none
		return max(time.Duration(seconds*float64(time.Second)), time.Millisecond)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), time.Millisecond)
	}
	return 0
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
