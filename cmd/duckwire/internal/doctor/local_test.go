package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	open := filepath.Join(t.TempDir(), "duckwire.yaml")
	if err := os.WriteFile(open, []byte("jwt_secret: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &Report{}
	(&Local{ConfigFile: open, SecretsInFile: true}).checkFile(r)
	holds(t, r, "secrets", Fine, "only its owner")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	(&Local{ConfigFile: open, SecretsInFile: true}).checkFile(r)
	holds(t, r, "secrets", Warning, "mode 644")

	for _, secret := range []string{
		"0123456789abcdef0123456789abcdef", "changemechangemechangemechangeme",
		strings.Repeat("a", 40) + "bcd", strings.Repeat("secret ", 5) + "sec",
	} {
		r = &Report{}
		(&Local{JWTSecret: secret}).checkTokens(r)
		holds(t, r, "secrets", Warning, "guess")
		if strings.Contains(text(t, r), secret[:8]) {
			t.Error("the secret is shown")
		}
	}
	r = &Report{}
	(&Local{
		JWTSecret: "hA1IeZVXQ0RIYOQxzTZwvWVKbmhL6Pp0ZzJc3FLLU9s=", JWKSURL: "x",
		Audience: "duckwire",
	}).checkTokens(r)
	if r.Level() != Fine {
		t.Error(text(t, r))
	}
	(&Local{JWKSURL: "x"}).checkTokens(r)
	holds(t, r, "audience", Warning, "other programs")

	(&Local{AllowedOrigins: []string{"*", "http://app.example.com", "http://app.example.com:*"}}).checkOrigins(r)
	holds(t, r, "origins", Warning, "every site")
	holds(t, r, "origins", Warning, "http://app.example.com is not encrypted")
	r = &Report{}
	(&Local{AllowedOrigins: []string{"https://app.example.com", "http://localhost:3000"}}).checkOrigins(r)
	(&Local{}).checkOrigins(r)
	(&Local{Dev: true, Addr: "127.0.0.1:4000"}).checkDev(r)
	(&Local{TLSCert: "x", Addr: ":4000"}).checkDev(r)
	if r.Level() != Fine {
		t.Error(text(t, r))
	}
	(&Local{Dev: true, Addr: ":4000"}).checkDev(r)
	holds(t, r, "dev", Warning, "other machines")
	(&Local{Addr: "0.0.0.0:4000"}).checkDev(r)
	holds(t, r, "tls", Warning, "without TLS")
}

// writeCertificate writes a certificate with the given validity period, and its key.
func writeCertificate(t *testing.T, from, to time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"},
		DNSNames: []string{"stream.example.com"}, NotBefore: from, NotAfter: to,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile:  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	now := time.Now()
	day := 24 * time.Hour
	examine := func(from, to time.Time) *Report {
		r, l := &Report{}, &Local{}
		l.TLSCert, l.TLSKey = writeCertificate(t, from, to)
		l.checkCertificate(r, now)
		return r
	}
	holds(t, examine(now.Add(-90*day), now.Add(-day)), "certificate", Broken, "stream.example.com ended on")
	holds(t, examine(now.Add(day), now.Add(90*day)), "certificate", Broken, "holds only from")
	holds(t, examine(now.Add(-80*day), now.Add(10*day)), "certificate", Warning, "ends on")
	holds(t, examine(now.Add(-day), now.Add(60*day)), "certificate", Fine, "for stream.example.com")

	cert, key := writeCertificate(t, now, now.Add(60*day))
	_, other := writeCertificate(t, now, now.Add(60*day))
	r := &Report{}
	(&Local{TLSCert: cert, TLSKey: other}).checkCertificate(r, now)
	holds(t, r, "certificate", Broken, "private key does not match")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	(&Local{TLSCert: cert, TLSKey: key}).checkCertificate(r, now)
	holds(t, r, "certificate", Warning, "may read the private key")
}

func TestPort(t *testing.T) {
	t.Parallel()
	examine := func(addr string) *Report {
		r := &Report{}
		(&Local{Addr: addr}).checkPort(t.Context(), r)
		return r
	}
	ours := strings.TrimPrefix(startServer(t, nil), "http://")
	holds(t, examine(ours), "port", Fine, "a server answers")
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	holds(t, examine(other.Listener.Addr().String()), "port", Broken, "another program")
	holds(t, examine("192.0.2.1:4000"), "port", Broken, "192.0.2.1") // TEST-NET-1: no machine has this address
	holds(t, examine("127.0.0.1:0"), "port", Fine, "is free")
}

func TestHealth(t *testing.T) {
	t.Parallel()
	addr := strings.TrimPrefix(startServer(t, nil), "http://")
	_, port, _ := net.SplitHostPort(addr)
	for _, ready := range []bool{false, true} {
		if err := Health(t.Context(), net.JoinHostPort("", port), false, ready); err != nil {
			t.Errorf("ready %v: %v", ready, err)
		}
	}
	if err := Health(t.Context(), addr, true, false); err == nil {
		t.Error("a server without TLS was healthy with it")
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hi")
	}))
	defer other.Close()
	if err := Health(t.Context(), other.Listener.Addr().String(), false, false); err == nil {
		t.Error("any program that answers is healthy")
	}
}

func TestDataFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	examine := func(path string) *Report {
		r := &Report{}
		(&Local{DataDir: path}).checkData(r)
		return r
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r := examine(dir)
	if r.Level() == Broken {
		t.Error(text(t, r))
	}
	holds(t, examine(filepath.Join(dir, "a", "b")), "data folder", Fine, "the server makes it")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, examine(file), "data folder", Broken, "not a directory")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	holds(t, examine(dir), "data folder", Warning, "everybody on this machine")
}

func TestDisks(t *testing.T) {
	t.Parallel()
	const much = 100 << 30
	for kind, want := range map[string]string{
		"nfs": "is on nfs", "tmpfs": "a restart of the machine",
		"overlay": "goes with the container",
	} {
		r := &Report{}
		(&disk{kind: kind, free: much, size: much}).check(r, "/data")
		holds(t, r, "disk", Warning, want)
	}
	r := &Report{}
	(&disk{free: much, size: much, fixed: true, nodes: 3}).check(r, "/data")
	holds(t, r, "disk", Broken, "3 more files")
	r = &Report{}
	(&disk{free: much, size: 2 * much}).check(r, "/data")
	holds(t, r, "disk", Fine, "100.0 GiB of 200.0 GiB")
}

func TestMemory(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"version 2, an outer group": {
			"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "1000000\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n",
		},
		"version 2, in a container": {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000000\n"},
		"version 1": {
			"proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/x\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1000000\n",
		},
		"version 1, nothing of it's": {
			"proc/self/cgroup":                           "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
			"proc/meminfo":                               "MemTotal: 977 kB\n",
		},
	} {
		root := t.TempDir()
		for file, content := range files {
			path := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if most, from := memoryLimit(root); most/1000 != 1000 {
			t.Errorf("%s: %d, from %s", name, most, from)
		}
	}
	r := &Report{}
	(&Local{LogMemory: 1 << 60}).checkMemory(r)
	holds(t, r, "memory", Broken, "kill the server")
	r = &Report{}
	(&Local{LogMemory: 1 << 20}).checkMemory(r)
	holds(t, r, "memory", Fine, "1.0 MiB")
	most, _ := memoryLimit("/")
	r = &Report{}
	(&Local{LogMemory: int64(most / 4 * 3)}).checkMemory(r)
	holds(t, r, "memory", Warning, "more than half")
}
