package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/httpserver"
)

func newServeCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until SIGTERM or Ctrl-C: then it takes no new work, tells its clients when to come back,
settles streams and queues, and ends with code 0. A second signal ends it at once.

With --dev it makes a secret, keeps it in the data folder and prints a token that may do everything.
Without --dev it starts only if it can tell who comes: set a secret, a key, a key set or API keys.

` + config.Help(),
		Example: `  duckwire serve --dev
  DUCKWIRE_JWT_SECRET=… duckwire serve --addr :4000 --data-dir /var/lib/duckwire
  DUCKWIRE_UPSTREAM_URL=http://127.0.0.1:11434/v1 duckwire serve --dev
  duckwire serve --config /etc/duckwire.yaml`,
		Args: cobra.NoArgs,
	}
	flags := config.AddFlags(cmd, "addr", "data_dir", "dev")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := flags.Load()
		if err != nil {
			return err
		}
		if err := config.CheckServe(&cfg.Config); err != nil {
			return err
		}
		return serve(cmd.Context(), &cfg.Config, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

// serve runs the server until ctx ends, then stops it in order. It returns nil after an orderly stop.
func serve(ctx context.Context, cfg *config.Config, stdout, stderr io.Writer) error {
	logger := newLogger(cfg, stderr)
	// The listener comes first: a second server on the same address must not touch the first one's data.
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("%w; is another server running there? choose another with --addr", err)
	}
	secure, err := tlsConfig(cfg, logger)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	app, err := openApp(cfg, logger)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	defer app.close(logger)
	srv := httpserver.New(app.handler, logger)
	srv.ReadHeaderTimeout = cfg.HeaderTimeout
	app.guests.Watch(srv)
	srv.TLSConfig = secure
	served := make(chan error, 1)
	go func() { served <- httpserver.Serve(srv, ln) }()
	app.ready.Store(true)
	url := localURL(ln.Addr(), secure != nil)
	logger.Info("listening", "addr", ln.Addr().String(), "url", url, "version", buildVersion())
	if cfg.Dev {
		if err := printBanner(stdout, cfg, url); err != nil {
			logger.Warn("no banner", "error", err)
		}
	}
	select {
	case err := <-served:
		return fmt.Errorf("serving ended: %w", err)
	case <-ctx.Done():
		stop(cfg, srv, app, logger)
		<-served
		return nil
	}
}

// tlsConfig returns the configuration of HTTPS, or nil for plain HTTP.
func tlsConfig(cfg *config.Config, logger *slog.Logger) (*tls.Config, error) {
	if cfg.TLSCert == "" {
		return nil, nil
	}
	cert, err := httpserver.LoadCertificate(cfg.TLSCert, cfg.TLSKey, logger)
	if err != nil {
		return nil, err
	}
	return cert.Config(), nil
}

// openApp creates the development secret if it is needed, and opens the app.
func openApp(cfg *config.Config, logger *slog.Logger) (*app, error) {
	if cfg.Dev && cfg.JWTSecret == "" {
		secret, err := config.EnsureDevSecret(cfg.DataDir)
		if err != nil {
			return nil, err
		}
		cfg.JWTSecret = secret
	}
	return buildServer(cfg, logger)
}

// stop stops the app within the drain timeout, in this order: the server is no longer ready; the hub tells its clients
// when to reconnect and settles its streams; the listener closes and requests complete; what remains after the timeout
// is cut. The stores are closed after that.
func stop(cfg *config.Config, srv *http.Server, app *app, logger *slog.Logger) {
	started := time.Now()
	logger.Info("draining", "timeout", config.ShowDuration(cfg.DrainTimeout))
	app.ready.Store(false)
	app.until = started.Add(cfg.DrainTimeout)
	ctx, cancel := context.WithDeadline(context.Background(), app.until)
	defer cancel()
	if app.drain != nil {
		app.drain(ctx)
	}
	if err := srv.Shutdown(ctx); err != nil {
		logger.Warn("connections cut", "error", err)
		_ = srv.Close()
	}
	logger.Info("stopped", "took", time.Since(started).Round(time.Millisecond).String())
}

func newLogger(cfg *config.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // checked by oneof
	opts := &slog.HandlerOptions{Level: level}
	if cfg.LogForm == "text" {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// localURL returns the URL of a listener for clients on this machine.
func localURL(addr net.Addr, secure bool) string {
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + net.JoinHostPort(host, port)
}
