package hubtest

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Vanish makes the kernel drop every packet that arrives for a connection. So it acknowledges nothing and closes
// nothing, like a machine that lost its network.
func Vanish(t testing.TB, c net.Conn) {
	t.Helper()
	conn := c.(*net.TCPConn)
	_ = conn.SetKeepAlive(false) // it would tell the peer that the client is alive
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	var failed error
	err = raw.Control(func(fd uintptr) {
		program := unix.SockFprog{Len: uint16(len(drop)), Filter: &drop[0]}
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}
