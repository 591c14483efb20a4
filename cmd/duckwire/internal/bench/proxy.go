package bench

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// Proxy is the baseline of a run with completions: httputil.ReverseProxy, which passes on each write at once.
type Proxy struct {
	Upstream string // URL
}

// Serve runs until ctx ends. Like the server, it logs the URL at which it listens.
func (p *Proxy) Serve(ctx context.Context, log io.Writer) error {
	to, err := url.Parse(p.Upstream)
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	// The defaults would close all but two connections after their completions. A baseline must not be slower than needed.
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, maxAtOnce
	defer transport.CloseIdleConnections()
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // the client notices the same errors
	}
	return serveLoopback(ctx, log, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Otherwise an answer that begins at once may be cut off (golang/go#40747).
		_ = http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, r)
	}))
}
