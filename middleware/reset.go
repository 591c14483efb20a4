package middleware

import (
	"net"
	"net/http"
)

// ResetAborted ends the connection of an aborted response (http.ErrAbortHandler) to an HTTP/1.0 client with a reset.
// The body of such a response ends with its connection, so a connection that is closed in the usual way would make the
// partial body look complete (RFC 9112 §6.3). Bytes that the client has not acknowledged yet are lost.
//
// HTTP/1.1 has the final chunk and HTTP/2 has RST_STREAM for this, which net/http leaves out or sends by itself. The
// middleware must be the outermost one.
func ResetAborted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoAtLeast(1, 1) {
			next.ServeHTTP(w, r)
			return
		}
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
				if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
					resetConn(conn)
				}
			}
			panic(p)
		}()
		next.ServeHTTP(w, r)
	})
}

// resetConn closes a connection with a reset. One over TLS is closed without TLS's own end, which would look complete,
// too.
func resetConn(c net.Conn) {
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = secure.NetConn()
	}
	if tcp, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0) // fails only on a closed connection
	}
	_ = c.Close()
}
