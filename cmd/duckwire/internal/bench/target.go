package bench

import (
	"fmt"
	"net"
	"net/url"
)

// Target is a server under load.
type Target struct {
	addr  string // host:port
	token string
	proc  *process // nil: not started by the bench, so its processor time and memory are unknown

	nodes []*Target // several servers that share redis; addr is the first one's
	redis *redisServer
}

// NewTarget returns a target for a running server at an http URL.
func NewTarget(rawURL, token string) (*Target, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("--url %q must look like http://127.0.0.1:4000; TLS is not measured here", rawURL)
	}
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), "80")
	}
	return &Target{addr: addr, token: token}, nil
}

// Addr returns the server's host and port.
func (t *Target) Addr() string { return t.addr }

// appendHead appends the head of a request, without the empty line.
func (t *Target) appendHead(dst []byte, method, path string) []byte {
	return fmt.Appendf(dst, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", method, path, t.addr, t.token)
}
