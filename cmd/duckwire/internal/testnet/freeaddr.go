// Package testnet has what tests of servers need: free addresses, certificates, and the end of a log.
package testnet

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreeAddr returns a loopback address that nobody listens on. Its port is below those that systems give to outgoing
// connections: one of them could take it before it is used, or while a server that is to come back on it is away.
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
