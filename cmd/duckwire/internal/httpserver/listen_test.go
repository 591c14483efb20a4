package httpserver

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestUnixSocketFiles: a socket that a killed server left is replaced; that of a running server, and any other file, is
// left alone. The file has the configured permissions, and is removed at the end.
func TestUnixSocketFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listen := func() (net.Listener, error) {
		return Listen(t.Context(), Listening{Addr: "unix:" + path, SocketMode: 0o620, Silence: time.Second})
	}
	left, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	ln, err := listen()
	if err != nil {
		t.Fatalf("where a socket was left: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o620 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := listen(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("where a server listens: %v", err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the first server is gone: %v", err)
	}
	conn.Close()
	ln.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the end: %v", err)
	}
	if err := os.WriteFile(path, []byte("a text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(); !errors.Is(err, os.ErrExist) {
		t.Errorf("where a file is: %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "a text" {
		t.Error("the file is gone")
	}
}
