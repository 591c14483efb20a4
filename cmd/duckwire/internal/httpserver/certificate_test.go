package httpserver

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/testnet"
)

// TestCertificateIsReadAgain: new files are used from the next handshake on; if they are invalid, the old certificate
// stays in use.
func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, _ := testnet.WriteCertificate(t, dir, 1)
	c, err := LoadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	changed := time.Now()
	serial := func() int64 {
		t.Helper()
		changed = changed.Add(time.Second) // so that the modification time differs on any file system
		for _, path := range []string{certFile, keyFile} {
			if err := os.Chtimes(path, changed, changed); err != nil {
				t.Fatal(err)
			}
		}
		c.looked = time.Time{}
		cert, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf.SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("serial %d", got)
	}
	if err := os.WriteFile(certFile, []byte("half of a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 1 {
		t.Errorf("with a broken file: serial %d", got)
	}
	testnet.WriteCertificate(t, dir, 2)
	if got := serial(); got != 2 {
		t.Errorf("with new files: serial %d", got)
	}
	_, err = LoadCertificate(filepath.Join(dir, "none.pem"), keyFile, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "none.pem") {
		t.Errorf("%v", err)
	}
}
