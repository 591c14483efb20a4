package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/httpserver"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// TestStopInOrder checks the server's behaviour while the hub drains, and that the stop does not exceed the drain
// timeout.
func TestStopInOrder(t *testing.T) {
	t.Parallel()
	cfg := &config.Config{DrainTimeout: 300 * time.Millisecond}
	full := &config.Config{DataDir: t.TempDir(), JWTSecret: testSecret, DrainTimeout: cfg.DrainTimeout}
	a, err := buildServer(full, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer a.close(quiet())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) int {
		resp, err := client.Get(url + path)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	mux := http.NewServeMux()
	mux.Handle("/", a.handler)
	entered := make(chan struct{})
	mux.HandleFunc("GET /stuck", func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done() // until it is cut
	})
	srv := httpserver.New(mux, quiet())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()

	if got := get("/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("before it is ready: %d", got)
	}
	a.ready.Store(true)
	if got := get("/readyz"); got != http.StatusOK {
		t.Errorf("ready: %d", got)
	}
	stuck := make(chan int, 1)
	go func() { stuck <- get("/stuck") }()
	<-entered

	drain, drained := a.drain, false
	a.drain = func(ctx context.Context) {
		drained = true
		if got := get("/readyz"); got != http.StatusServiceUnavailable {
			t.Errorf("while draining, readyz: %d", got)
		}
		if got := get("/healthz"); got != http.StatusOK {
			t.Errorf("while draining, healthz: %d", got)
		}
		if drain != nil {
			drain(ctx)
		}
	}
	began := time.Now()
	stop(cfg, srv, a, quiet())
	if took := time.Since(began); !drained || took < cfg.DrainTimeout {
		t.Errorf("drained %t in %s", drained, took)
	}
	if got := <-stuck; got != 0 {
		t.Errorf("the stuck request was answered: %d", got)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Error(err)
	}
}

// TestServeInProcess runs the whole command in this process.
func TestServeInProcess(t *testing.T) {
	inEmptyDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	logs, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"serve", "--dev", "--addr", "127.0.0.1:0"}, strings.NewReader(""), io.Discard, w)
		w.Close()
	}()
	var all strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := logs.Read(buf)
		all.Write(buf[:n])
		if strings.Contains(all.String(), `"msg":"listening"`) {
			cancel()
		}
		if err != nil {
			break
		}
	}
	if got := <-code; got != exitOK || !strings.Contains(all.String(), `"msg":"stopped"`) {
		t.Errorf("code %d\n%s", got, all.String())
	}
	cancel()
}
