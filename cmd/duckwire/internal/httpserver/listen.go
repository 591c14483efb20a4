package httpserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/address"
)

// Listening configures Listen.
type Listening struct {
	Addr       string        // HOST:PORT, unix:/PATH or unix:@NAME; see address.Check
	SocketMode fs.FileMode   // permissions of the file of a Unix socket
	Silence    time.Duration // how long a peer may acknowledge nothing before its connection is broken
}

// Listen listens for connections. A Unix socket that a server left behind is replaced. Errors match
// syscall.EADDRINUSE if another server listens there.
//
// A client that vanishes, such as a laptop out of range, closes nothing. Its connection counts as broken after Silence,
// whether it is idle or has bytes to send (see keepAlive and setUserTimeout). Bytes that a slow client acknowledges
// keep its connection alive.
func Listen(ctx context.Context, o Listening) (net.Listener, error) {
	if path, ok := address.Unix(o.Addr); ok {
		return listenUnix(ctx, path, o.SocketMode)
	}
	config := net.ListenConfig{
		KeepAliveConfig: keepAlive(o.Silence),
		Control: func(_, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) { failed = setUserTimeout(fd, o.Silence) })
			return errors.Join(err, failed)
		},
	}
	return config.Listen(ctx, "tcp", o.Addr)
}

// keepAlive returns the configuration with which idle connections of vanished peers are found: the first probe after
// half of the time, three more in the rest.
func keepAlive(silence time.Duration) net.KeepAliveConfig {
	// The system counts whole seconds, at least one.
	return net.KeepAliveConfig{Enable: true, Idle: silence / 2, Interval: silence / 6, Count: 3}
}

// listenUnix listens on a Unix socket. The file's permissions say who may connect.
func listenUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	abstract := path[0] == '@'
	if !abstract {
		if err := removeStale(ctx, path); err != nil {
			return nil, err
		}
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil || abstract {
		return ln, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// removeStale removes the socket of a server that was killed: nobody listens on it. It leaves other files alone.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("listen unix %s: a file that is no socket is there: %w", path, fs.ErrExist)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("listen unix %s: %w", path, syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
