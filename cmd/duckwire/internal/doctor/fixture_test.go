package doctor

import (
	"context"
	"flag"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

// TestMain runs more tests in parallel than there are processors, since they mostly wait.
func TestMain(m *testing.M) {
	slowSync, slowRedis, clump = time.Hour, time.Hour, 0 // a busy machine is slow
	if inChild() {
		return
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("8")
	}
	goleak.VerifyTestMain(m, redistest.Leftovers()...)
}

const testSecret = "a secret of the tests, longer than 32 bytes"

// startServer runs a real server behind a proxy, and returns the URL of the proxy. A nil proxy is none.
func startServer(t *testing.T, proxy func(next http.Handler) http.Handler) string {
	t.Helper()
	url := startBare(t, (*httptest.Server).Start).URL
	if proxy == nil {
		return url
	}
	return startProxy(t, url, proxy)
}

// startBare runs a real server with nothing in front.
func startBare(t *testing.T, start func(*httptest.Server)) *httptest.Server {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	verifier, err := auth.NewVerifier(context.Background(),
		auth.VerifierOptions{Secret: []byte(testSecret), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New(hub.Options{Logger: logger})
	edge := handlers.New(handlers.Options{Hub: h, Verifier: verifier, Logger: logger})
	srv := httptest.NewUnstartedServer(edge)
	srv.Config.ConnContext = live.KeepConn
	start(srv)
	t.Cleanup(func() {
		edge.Close()
		h.Close()
		srv.CloseClientConnections()
		srv.Close()
		verifier.Close()
	})
	return srv
}

// startProxy runs a proxy in front of a server. It passes everything on without delay, except for what the given
// handler does.
func startProxy(t *testing.T, backend string, around func(next http.Handler) http.Handler) string {
	t.Helper()
	target, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableCompression: true}
	pass := httputil.NewSingleHostReverseProxy(target)
	pass.Transport, pass.FlushInterval, pass.ErrorLog = tr, -1, log.New(io.Discard, "", 0)
	srv := httptest.NewUnstartedServer(around(pass))
	srv.Config.ErrorLog = pass.ErrorLog
	srv.Start()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		tr.CloseIdleConnections()
	})
	return srv.URL
}

func token(t *testing.T, caps map[string][]string) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256,
		jwt.MapClaims{
			"sub": "doctor", "exp": time.Now().Add(time.Hour).Unix(),
			"caps": caps,
		}).SignedString([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// holds fails the test unless the report has a finding of this check and level that contains the text.
func holds(t *testing.T, r *Report, check string, level Level, found string) {
	t.Helper()
	for _, f := range r.Findings {
		if f.Check == check && f.Level == level && strings.Contains(f.Found, found) {
			if (level == Warning || level == Broken) && f.Do == "" {
				t.Errorf("%s: nothing is said about what to do", check)
			}
			return
		}
	}
	t.Errorf("no finding %s %s %q in\n%s", check, level, found, text(t, r))
}

func text(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
