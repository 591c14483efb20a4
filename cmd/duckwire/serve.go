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
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/address"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/httpserver"
)

func newServeCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until SIGTERM or Ctrl-C: then it takes no new work, tells its clients when to come back,
settles streams and queues, and ends with code 0. A second signal ends it at once. With drain_delay it first serves
on for that time while /readyz is 503; the second signal then ends the delay, and the third the process.

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
	ln, err := httpserver.Listen(ctx, httpserver.Listening{
		Addr: cfg.Addr, SocketMode: cfg.FileMode(), Silence: cfg.WriteTimeout,
	})
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; is another server running there? choose another with --addr", err)
	}
	if err != nil {
		return err
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
	url := address.LocalURL(addrOf(ln), secure != nil, cfg.BasePath)
	logger.Info("listening", "addr", addrOf(ln), "url", url, "version", buildVersion())
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

// leastFarewell is the part of the drain timeout that is kept for the ends of responses, of long timeouts.
const leastFarewell = 2 * time.Second

// stop stops the app, in this order: the server is no longer ready, but serves everything for the drain delay, so that
// balancers find another one. Then, within the drain timeout: the hub settles its streams and sockets close; readers
// are told when to reconnect, the listener closes and requests complete; what remains after the timeout is cut. The
// stores are closed after that.
func stop(cfg *config.Config, srv *http.Server, app *app, logger *slog.Logger) {
	started := time.Now()
	app.ready.Store(false)
	if cfg.DrainDelay > 0 {
		logger.Info("leaving", "delay", config.ShowDuration(cfg.DrainDelay))
		waitOrSignal(cfg.DrainDelay)
	}
	logger.Info("draining", "timeout", config.ShowDuration(cfg.DrainTimeout))
	app.until = time.Now().Add(cfg.DrainTimeout)
	ctx, cancel := context.WithDeadline(context.Background(), app.until)
	defer cancel()
	if app.drain != nil {
		drained, done := context.WithDeadline(ctx, app.until.Add(-min(cfg.DrainTimeout/5, leastFarewell)))
		app.drain(drained)
		done()
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

// waitOrSignal waits for d, or until a signal that would end the process, which it takes.
func waitOrSignal(d time.Duration) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-signals:
	case <-timer.C:
	}
}

// addrOf returns a listener's address in the form of the setting addr.
func addrOf(ln net.Listener) string {
	if addr := ln.Addr(); addr.Network() == "unix" {
		return "unix:" + addr.String()
	}
	return ln.Addr().String()
}
