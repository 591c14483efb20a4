package socket

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxUnsent bounds, in bytes, what the kernel holds of a connection besides what is on its way (TCP_NOTSENT_LOWAT of
// tcp(7)). Without it the kernel may hold megabytes, and on a slow link every reply would wait behind them for minutes.
const maxUnsent = pullBytes

// limitUnsent sets maxUnsent. It does nothing for connections that are not TCP.
func limitUnsent(c net.Conn) {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	s, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // old kernels refuse it, and only hold more then
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
	})
}
