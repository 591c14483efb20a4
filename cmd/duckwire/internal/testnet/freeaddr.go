// Package testnet has helpers for tests of servers: free addresses, certificates, and the end of a log.
package testnet

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreeAddr returns a loopback address that nobody listens on. Its port is below those that systems assign to outgoing
// connections; otherwise such a connection could take it before the server listens, or while the server restarts.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))); err == nil {
			ln.Close()
			return ln.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}
