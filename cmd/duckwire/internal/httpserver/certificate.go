package httpserver

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Certificate is the server's TLS certificate. It is reloaded when its files have changed, so that a renewal needs no
// restart. Safe for concurrent use.
type Certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu     sync.Mutex
	cert   *tls.Certificate
	read   [2]time.Time // when the files that it was read from were changed
	looked time.Time
}

// lookAgain is the minimum time between two checks for changed files.
const lookAgain = 5 * time.Second

// LoadCertificate reads the files. Its error names the file that is invalid.
func LoadCertificate(certFile, keyFile string, logger *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, logger: logger}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// Config returns the TLS configuration of a server with this certificate: HTTP/2 and HTTP/1.1, TLS 1.2 and newer.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"h2", "http/1.1"}}
}

// get returns the certificate for a handshake. If the files cannot be read, for example because only one of the two is
// written yet, the old certificate stays in use.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= lookAgain {
		c.looked = now
		if stamps, err := c.stamps(); err == nil && stamps != c.read {
			if err := c.load(); err != nil {
				c.logger.Error("the new certificate cannot be used; the old one stays", "error", err)
			} else {
				c.logger.Info("certificate read again", "file", c.certFile)
			}
		}
	}
	return c.cert, nil
}

func (c *Certificate) load() error {
	stamps, err := c.stamps()
	if err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("tls_cert %s and tls_key %s: %w", c.certFile, c.keyFile, err)
	}
	c.cert, c.read = &cert, stamps
	return nil
}

func (c *Certificate) stamps() (at [2]time.Time, err error) {
	for i, path := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(path)
		if err != nil {
			return at, err
		}
		at[i] = info.ModTime()
	}
	return at, nil
}
