package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net/http"
	"syscall"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/address"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/httpserver"
)

// checkPort checks whether the server could listen. It is not a fault if a Duckwire server already does: the doctor is
// mostly run next to one.
func (l *Local) checkPort(ctx context.Context, r *Report) {
	const check = "port"
	_, isUnix := address.Unix(l.Addr)
	ln, err := httpserver.Listen(ctx, httpserver.Listening{Addr: l.Addr, SocketMode: 0o600, Silence: time.Minute})
	switch {
	case err == nil:
		_ = ln.Close()
		r.Fine(check, "%s is free", l.Addr)
	case errors.Is(err, syscall.EADDRINUSE) && l.isHealthy(ctx):
		r.Fine(check, "a server answers on %s", l.Addr)
	case errors.Is(err, syscall.EADDRINUSE) && isUnix:
		r.Broken(check, "end it (ss -lxp tells which it is), or choose another path with addr", "%v", err)
	case isUnix:
		r.Broken(check, "set addr to a free path in a folder that exists and that this user may write to", "%v", err)
	case errors.Is(err, syscall.EADDRINUSE):
		r.Broken(check, "end it (ss -ltnp tells which it is), or choose another port with addr",
			"another program listens on %s", l.Addr)
	case errors.Is(err, fs.ErrPermission):
		r.Broken(check, "listen on a port above 1023 behind a proxy, or give the service CAP_NET_BIND_SERVICE",
			"this user may not listen on %s", l.Addr)
	default:
		r.Broken(check, "set addr to an address of this machine, such as 127.0.0.1:4000", "%v", err)
	}
}

// isHealthy reports whether a Duckwire server answers.
func (l *Local) isHealthy(ctx context.Context) bool {
	return Health(ctx, l.Addr, l.TLSCert != "", false) == nil
}

// Health requests /healthz, or with ready /readyz, of the server that listens on addr on this machine.
func Health(ctx context.Context, addr string, secure, ready bool) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	path := "/healthz"
	if ready {
		path = "/readyz"
	}
	// The certificate is for the name that clients use, and not for a local address. No secret is sent.
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	base := address.Reach(tr, address.LocalURL(addr, secure, ""))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return checkHealth(resp)
}
