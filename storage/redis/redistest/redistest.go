// Package redistest runs real redis-servers for tests.
package redistest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// Server is a real redis-server in its own folder, on a Unix socket and a port of 127.0.0.1. It can be killed and
// restarted.
type Server struct {
	Dir  string // has its socket, named s, and its files
	Port string

	t    testing.TB
	args []string
	env  []string
	cmd  *exec.Cmd
}

// Start starts a server. args are settings as on its command line. It stores nothing on disk unless they say so.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := newServer(t, args...)
	s.Start()
	return s
}

// newServer creates the folder and chooses a port.
func newServer(t testing.TB, args ...string) *Server {
	t.Helper()
	hubtest.Full(t, "redis-server")
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("SKIPPED: redis-server is not installed (.ci/need does)")
	}
	dir, err := os.MkdirTemp("", "duckwire-redis-") // short, because a socket's path may have 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(freePort(t)) // for replicas and clusters, which do not use sockets
	s := &Server{t: t, Dir: dir, Port: port, args: append([]string{
		"--port", port, "--unixsocket", filepath.Join(dir, "s"), "--dir", dir, "--save", "",
		"--repl-diskless-sync-delay", "0",
	}, args...)}
	t.Cleanup(func() { s.Kill(); os.RemoveAll(dir) })
	return s
}

// freePort returns a free port. The port 10,000 above it is free, too: servers of a cluster use it for the cluster
// bus. Both are below the ports that systems assign to outgoing connections.
func freePort(t testing.TB) int {
	t.Helper()
	free := func(port int) bool {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			ln.Close()
		}
		return err == nil
	}
	for range 100 {
		if port := 10_000 + rand.IntN(10_000); free(port) && free(port+10_000) {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// URL returns the address for redis.Options.
func (s *Server) URL() string { return "unix://" + filepath.Join(s.Dir, "s") }

// Start starts or restarts the server, and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", s.args...)
	s.cmd.Env = append(os.Environ(), s.env...)
	s.cmd.SysProcAttr = hubtest.ProcAttr()
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	hubtest.Until(s.t, "redis-server to answer", func() bool { return s.tell("PING") == "+PONG" })
}

// tell sends a command of one word, and returns the beginning of its answer, or "".
func (s *Server) tell(command string) string {
	conn, err := net.Dial("unix", filepath.Join(s.Dir, "s"))
	if err != nil {
		return ""
	}
	defer conn.Close()
	fmt.Fprint(conn, command, "\r\n")
	b := make([]byte, 5)
	n, _ := conn.Read(b)
	return strings.TrimSpace(string(b[:n]))
}

// Empty deletes all data.
func (s *Server) Empty() {
	s.t.Helper()
	if answer := s.tell("FLUSHALL"); answer != "+OK" {
		s.t.Fatalf("FLUSHALL: %q", answer)
	}
}

// Kill kills the server with SIGKILL.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// Command runs a command with redis-cli, and returns its output.
func (s *Server) Command(args ...string) string {
	s.t.Helper()
	args = append([]string{"-s", filepath.Join(s.Dir, "s")}, args...)
	out, err := exec.Command("redis-cli", args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// Follow makes the server a replica of a master, and waits until it has all data.
func (s *Server) Follow(master *Server) {
	s.t.Helper()
	s.Command("REPLICAOF", "127.0.0.1", master.Port)
	s.CatchUp(master)
}

// CatchUp waits until a replica has all data of its master.
func (s *Server) CatchUp(master *Server) {
	s.t.Helper()
	hubtest.Until(s.t, "the replica to catch up", func() bool {
		info := s.Command("INFO", "replication")
		has := Offset(info, "slave_repl_offset")
		all := Offset(master.Command("INFO", "replication"), "master_repl_offset")
		return strings.Contains(info, "master_link_status:up") && has >= all
	})
}

// Offset returns a number from the output of INFO.
func Offset(info, name string) int {
	_, rest, _ := strings.Cut(info, name+":")
	n, _ := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
	return n
}

// Signal sends the server a signal.
func (s *Server) Signal(signal os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}
