//go:build !linux

package socket

import "net"

// limitUnsent does nothing: only Linux has been tested with it.
func limitUnsent(net.Conn) {}
