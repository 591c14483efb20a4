package crash_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/testnet"
	"github.com/duckwire/duckwire/hub/hubtest"
)

const secret = "a secret of the tests, of 32 bytes"

// server is a duckwire process that can be killed and restarted with the same folder and address.
type server struct {
	t    testing.TB
	bin  string
	dir  string
	addr string
	env  []string // additional environment

	lives  atomic.Int64 // number of starts
	mu     sync.Mutex
	cmd    *exec.Cmd
	log    *bytes.Buffer // of this process; complete after exited is closed
	exited chan struct{}
}

// folder contains the binary, which all tests share.
var folder string

// TestMain runs more tests in parallel than there are processors, since they mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("8")
	}
	var err error
	if folder, err = os.MkdirTemp("", "duckwire-crash-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(folder)
	os.Exit(code)
}

// build builds the binary, once.
var build = sync.OnceValues(func() (bin string, err error) {
	bin = filepath.Join(folder, "duckwire")
	out, err := exec.Command("go", "build", "-o", bin, "github.com/duckwire/duckwire/cmd/duckwire").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return bin, err
})

// newServer returns a server with a free address, which start starts; env is additional environment.
func newServer(t testing.TB, env ...string) *server {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, env: env, addr: testnet.FreeAddr(t), dir: filepath.Join(t.TempDir(), "data"), bin: bin}
	t.Cleanup(s.kill)
	return s
}

// command returns the command that starts the server.
func (s *server) command() (cmd *exec.Cmd, log *bytes.Buffer) {
	cmd, log = exec.Command(s.bin, "serve", "--addr", s.addr, "--data-dir", s.dir), new(bytes.Buffer)
	cmd.Dir = filepath.Dir(s.dir)
	cmd.Env = append(append(os.Environ(), "DUCKWIRE_JWT_SECRET="+secret), s.env...)
	cmd.Stderr = log
	cmd.SysProcAttr = hubtest.ProcAttr()
	return cmd, log
}

// start starts the server, and returns when it serves.
func (s *server) start() {
	s.t.Helper()
	cmd, log := s.command()
	s.lives.Add(1)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	s.mu.Lock()
	s.cmd, s.log, s.exited = cmd, log, exited
	s.mu.Unlock()
	hubtest.Until(s.t, "a server to be ready", func() bool {
		select {
		case <-exited:
			s.t.Fatalf("the server does not start:\n%s", testnet.Tail(log.String()))
		default:
		}
		resp, err := http.Get("http://" + s.addr + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// kill ends the process with SIGKILL.
func (s *server) kill() {
	s.mu.Lock()
	cmd, exited := s.cmd, s.exited
	s.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Kill()
		<-exited
	}
}

// stop ends the process with an interrupt, and expects exit code 0.
func (s *server) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(os.Interrupt)
	s.wait()
}

// wait waits for the process' end, and expects exit code 0.
func (s *server) wait() {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(hubtest.Hung):
		s.kill()
		s.t.Fatalf("the server does not end:\n%s", testnet.Tail(s.log.String()))
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("the server ends with code %d, expected 0:\n%s", code, testnet.Tail(s.log.String()))
	}
}

// token returns a token that allows everything.
func token(t testing.TB, user string) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": user, "exp": time.Now().Add(time.Hour).Unix(), "caps": map[string][]string{"*": {"*"}},
	}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// client sends requests as one user.
type client struct {
	s     *server
	token string
	http  *http.Client
}

func (s *server) client(user string) *client {
	tr := &http.Transport{}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &client{s: s, token: token(s.t, user), http: &http.Client{Transport: tr}}
}

func (c *client) request(method, path, body string, header ...string) *http.Request {
	req, err := http.NewRequest(method, "http://"+c.s.addr+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return req
}

// call sends a request and decodes the response into out, which may be nil. It returns status 0 if there was no
// response.
func (c *client) call(method, path, body string, out any, header ...string) (status int, answer string) {
	resp, err := c.http.Do(c.request(method, path, body, header...))
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	if out != nil && resp.StatusCode < 300 {
		if err := json.Unmarshal(raw, out); err != nil {
			return 0, fmt.Sprintf("%v in %s", err, raw)
		}
	}
	return resp.StatusCode, string(raw)
}
