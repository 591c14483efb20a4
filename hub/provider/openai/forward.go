package openai

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/duckwire/duckwire/hub"
)

var _ hub.Forwarder = (*Provider)(nil)

// maxForward is how many bytes of an answer are passed on at most. A longer one breaks off.
const maxForward = 1 << 30

// forwardedHeaders are the headers of an answer that clients get, besides those that begin with forwardedPrefixes.
var (
	forwardedHeaders = []string{
		"Content-Type", "Content-Encoding", "Content-Disposition", "Retry-After", "Retry-After-Ms", "X-Should-Retry",
		"X-Request-Id",
	}
	forwardedPrefixes = []string{"X-Ratelimit-", "Openai-"}
)

// retryHeaders returns the headers about limits and retries. Without them nil.
func retryHeaders(h http.Header) (out http.Header) {
	for name, values := range h {
		if !isForwarded(name) || strings.HasPrefix(name, "Content-") || name == "X-Request-Id" {
			continue
		}
		if out == nil {
			out = http.Header{}
		}
		out[name] = values
	}
	return out
}

// Forward implements hub.Forwarder. The request has this server's key, and of the client's headers only those in req.
// It is sent once. Redirects are not followed.
func (p *Provider) Forward(ctx context.Context, req *hub.ForwardRequest) (*hub.ForwardResponse, error) {
	r, err := http.NewRequestWithContext(ctx, req.Method, p.forwardURL(req), bytes.NewReader(req.Body))
	if err != nil {
		return nil, unusableAddress()
	}
	for name, value := range map[string]string{"Content-Type": req.ContentType, "Accept": req.Accept} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	p.authorize(r, req.RequestID)
	resp, err := p.client.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, noAnswer(err)
	}
	if s := resp.StatusCode; s == http.StatusUnauthorized || s >= 300 && s < 400 {
		resp.Body.Close()
		return nil, p.refusal(resp, nil)
	}
	return p.forwarded(resp), nil
}

func (p *Provider) forwardURL(req *hub.ForwardRequest) string {
	address := p.opts.BaseURL + "/" + req.Path
	if req.Query != "" {
		address += "?" + req.Query
	}
	return address
}

// forwarded returns an answer as clients get it.
func (p *Provider) forwarded(resp *http.Response) *hub.ForwardResponse {
	f := &hub.ForwardResponse{Status: resp.StatusCode, Header: http.Header{}, Length: resp.ContentLength}
	for name, values := range resp.Header {
		if isForwarded(name) {
			f.Header[name] = values
		}
	}
	var body io.Reader = resp.Body
	if f.Status >= 400 && p.opts.Key != "" { // an error may quote the key
		start, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		if text := []byte(p.redact(string(start))); !bytes.Equal(text, start) {
			start, f.Length = text, -1
		}
		body = io.MultiReader(bytes.NewReader(start), &failing{resp.Body, err})
	}
	f.Body = &limitedBody{Reader: body, Closer: resp.Body, left: maxForward}
	return f
}

// isForwarded reports whether clients get a header, whose name is canonical.
func isForwarded(name string) bool {
	return slices.Contains(forwardedHeaders, name) ||
		slices.ContainsFunc(forwardedPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// failing is a reader that fails with an error of an earlier read, if there was one.
type failing struct {
	io.Reader
	err error
}

func (f *failing) Read(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Reader.Read(b)
}

// limitedBody is a body that fails after so many bytes.
type limitedBody struct {
	io.Reader
	io.Closer
	left int64
}

func (b *limitedBody) Read(buf []byte) (int, error) {
	n, err := b.Reader.Read(buf)
	if b.left -= int64(n); b.left < 0 {
		return 0, failure(http.StatusBadGateway, "upstream_invalid", "the upstream's answer has more than %d bytes",
			int64(maxForward))
	}
	return n, err
}
