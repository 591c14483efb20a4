package middleware_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/duckwire/duckwire/middleware"
)

// TestAbortedResponsesOverHTTP10AreReset: an HTTP/1.0 client sees that a body is not complete, over TLS too. A complete
// one ends as usual.
func TestAbortedResponsesOverHTTP10AreReset(t *testing.T) {
	h := middleware.ResetAborted(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half of ")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/aborted" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "it")
	}))
	plain, secure := httptest.NewServer(h), httptest.NewTLSServer(h)
	defer plain.Close()
	defer secure.Close()
	pool := secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for name, dial := range map[string]func() (net.Conn, error){
		"TCP": func() (net.Conn, error) { return net.Dial("tcp", plain.Listener.Addr().String()) },
		"TLS": func() (net.Conn, error) {
			config := &tls.Config{RootCAs: pool, ServerName: "example.com"}
			return tls.Dial("tcp", secure.Listener.Addr().String(), config)
		},
	} {
		for path, complete := range map[string]bool{"/aborted": false, "/complete": true} {
			conn, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.0\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn)
			conn.Close()
			switch {
			case complete && (err != nil || !strings.HasSuffix(string(answer), "half of it")):
				t.Errorf("%s: %s: %q, %v", name, path, answer, err)
			case !complete && !errors.Is(err, syscall.ECONNRESET):
				t.Errorf("%s: %s: %q, %v, want a reset", name, path, answer, err)
			}
		}
	}
}
