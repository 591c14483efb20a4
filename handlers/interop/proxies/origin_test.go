package proxies_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// origin is the real server.
type origin struct {
	addr   string
	binary string
	data   string // its folder
	client string // our own client, as one file
	token  string
}

var devToken = regexp.MustCompile(`export DUCKWIRE_TOKEN=(\S+)`)

// buildFolder is the folder of the binary, after it was built.
var buildFolder string

// build builds the server, once.
var build = sync.OnceValues(func() (binary string, err error) {
	if buildFolder, err = os.MkdirTemp("", "duckwire-proxies-"); err != nil {
		return "", err
	}
	binary = filepath.Join(buildFolder, "duckwire")
	out, err := exec.Command("go", "build", "-o", binary, "github.com/duckwire/duckwire/cmd/duckwire").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, err
})

// startOrigin starts the server as a developer does: with --dev, and the token that it prints. Settings
// are of the form DUCKWIRE_NAME=value.
func startOrigin(t *testing.T, settings ...string) *origin {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o := &origin{addr: freeAddr(t), binary: binary, data: filepath.Join(dir, "data")}
	var env []string
	for _, pair := range os.Environ() { // without the settings of the developer's shell
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "DUCKWIRE_") {
			env = append(env, name+"=")
		}
	}
	p := start(t, dir, append(env, settings...), binary, "serve", "--dev", "--addr", o.addr, "--data-dir", o.data)
	p.await(t, dir, func() bool {
		m := devToken.FindStringSubmatch(p.said.String())
		if m != nil {
			o.token = m[1]
		}
		return m != nil
	})
	return o
}

// tokenFor creates a token of a user who may do everything.
func (o *origin) tokenFor(t *testing.T, user string) string {
	t.Helper()
	out, err := exec.Command(o.binary, "token", "--user", user, "--data-dir", o.data).Output()
	if err != nil {
		t.Fatalf("duckwire token: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// caller is a client that reaches the server at one address, which is the server's or a proxy's.
type caller struct {
	base  string
	token string
	http  http.Client
}

func newCaller(t *testing.T, addr, token string) *caller {
	tr := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(tr.CloseIdleConnections)
	return &caller{base: "http://" + addr, token: token, http: http.Client{Transport: tr, Timeout: readingTimeout}}
}

// do sends a request. A status other than 2xx is an error.
func (c *caller) do(method, path string, body any, header ...string) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, c.base+path, reader)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		err := fmt.Errorf("%s %s: %s %s", method, path, resp.Status, text)
		if resp.StatusCode < 500 {
			return nil, &wrongError{err.Error()}
		}
		return nil, err
	}
	return resp, nil
}

// call sends a request whose answer is a JSON value, and decodes it into answer unless that is nil.
func (c *caller) call(method, path string, body, answer any) error {
	resp, err := c.do(method, path, body, "Accept", "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(text, answer)
}
