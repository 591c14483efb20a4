package httpserver

import (
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout sets how long sent bytes may stay unacknowledged, and how long the peer's window may stay closed,
// before the connection is broken (TCP_USER_TIMEOUT, tcp(7), RFC 5482). Connections inherit it from their listener. It
// also replaces the count of keep-alive probes: an idle connection is broken at the first probe after this time.
func setUserTimeout(fd uintptr, d time.Duration) error {
	return unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}
