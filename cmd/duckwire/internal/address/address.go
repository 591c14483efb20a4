// Package address knows the two forms of a server's address: HOST:PORT, and unix:/PATH or unix:@NAME for a Unix socket.
package address

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// maxPath is the longest path of a Unix socket, in bytes.
const maxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// Unix returns the path of the Unix socket that text names; ok is false for any other address. The text is
// "unix:/PATH", "unix:///PATH", or "unix:@NAME" for an abstract socket of Linux, which has no file. A path that begins
// with '@' is abstract.
func Unix(text string) (path string, ok bool) {
	path, ok = strings.CutPrefix(text, "unix:")
	if rest, found := strings.CutPrefix(path, "///"); found {
		path = "/" + rest
	}
	return path, ok
}

// Check returns an error if a server cannot listen on addr.
func Check(addr string) error {
	path, ok := Unix(addr)
	if !ok {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf(`%q must be HOST:PORT, such as "127.0.0.1:4000" or ":4000" for every interface, `+
				`or the path of a Unix socket, such as "unix:/run/duckwire/duckwire.sock"`, addr)
		}
		return nil
	}
	switch {
	case len(path) < 2 || path[0] != '/' && path[0] != '@':
		return fmt.Errorf(`%q must be "unix:" and a path that begins with "/", or "unix:@" and a name`, addr)
	case len(path) > maxPath:
		return fmt.Errorf("%q: a path has at most %d bytes here; this one has %d", addr, maxPath, len(path))
	}
	return nil
}

// LocalURL returns the URL at which clients on this machine reach a server that listens on addr, with its base path:
// "unix:/PATH" for a Unix socket, which takes requests without the base path.
func LocalURL(addr string, secure bool, basePath string) string {
	if _, ok := Unix(addr); ok {
		return addr
	}
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return scheme + addr + basePath
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + net.JoinHostPort(host, port) + basePath
}

// UnixHost is the base URL of requests over a Unix socket. Its host is only the header Host.
const UnixHost = "http://localhost"

// Reach makes a transport connect to the server of base, and returns the base URL for its requests: UnixHost for a
// Unix socket, else base itself.
func Reach(t *http.Transport, base string) string {
	path, ok := Unix(base)
	if !ok {
		return base
	}
	t.Proxy = nil
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return UnixHost
}
