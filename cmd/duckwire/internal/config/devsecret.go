package config

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// DevSecretPath returns the path of the secret of a --dev server with this data folder.
func DevSecretPath(dataDir string) string { return filepath.Join(dataDir, "dev-secret") }

// ReadDevSecret returns the secret that a --dev server created in this data folder.
func ReadDevSecret(dataDir string) (string, error) {
	path := DevSecretPath(dataDir)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < minSecret {
		return "", fmt.Errorf("%s holds %d bytes, too few for a secret (%d); "+
			"delete it, and 'duckwire serve --dev' makes a new one", path, len(secret), minSecret)
	}
	return secret, nil
}

// EnsureDevSecret returns the secret of this data folder. The first call creates it: 32 random bytes that only the
// owner can read.
func EnsureDevSecret(dataDir string) (string, error) {
	secret, err := ReadDevSecret(dataDir)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return "", fmt.Errorf("the data folder cannot be made: %w", err)
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	secret = base64.RawURLEncoding.EncodeToString(raw)
	f, err := os.OpenFile(DevSecretPath(dataDir), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(secret + "\n")
	return secret, errors.Join(err, f.Close())
}
