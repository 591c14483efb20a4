package openai

import (
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/duckwire/duckwire/hub/contentcoding"
)

// newTransport returns a transport for streams. It disables compression, which would delay tokens until a block is
// full.
func newTransport(connect time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: connect,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     90 * time.Second,
	}
}

// plainBodies is a transport that asks for bodies without compression, and decompresses those that are compressed all
// the same: some servers do not look at Accept-Encoding.
type plainBodies struct{ http.RoundTripper }

// CloseIdleConnections does so for the transport beneath: http.Client looks for this method.
func (t plainBodies) CloseIdleConnections() {
	(&http.Client{Transport: t.RoundTripper}).CloseIdleConnections()
}

func (t plainBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Accept-Encoding", "identity")
	resp, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	open := contentcoding.Decoder(strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding"))))
	if open == nil { // none, identity, or an unknown one, which stays in Content-Encoding
		return resp, nil
	}
	resp.Body = &decoded{body: resp.Body, open: open}
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	return resp, nil
}

// decoded decodes a body. It reads nothing before its first Read, because the first bytes may be late.
type decoded struct {
	body io.ReadCloser
	open func(io.Reader) (io.Reader, error)
	r    io.Reader
	err  error
}

func (d *decoded) Read(p []byte) (int, error) {
	if d.r == nil && d.err == nil {
		d.r, d.err = d.open(d.body)
	}
	if d.err != nil {
		return 0, d.err
	}
	return d.r.Read(p)
}

func (d *decoded) Close() error { return d.body.Close() }
