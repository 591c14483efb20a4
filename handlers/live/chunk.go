package live

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
)

// connKey is the context key of a request's connection, which KeepConn sets.
type connKey struct{}

// KeepConn is for http.Server.ConnContext. With it, long responses over HTTP/1.1 are written to their connections
// directly, which saves a third of the processor time of a delivery. Without it, and over HTTP/2, they pass through
// net/http; the bytes are the same.
func KeepConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// directConn returns the connection to which a response may be written in chunks after net/http has sent the header, or
// nil. net/http chooses chunked coding for HTTP/1.1 if there is no Content-Length.
func directConn(w http.ResponseWriter, r *http.Request) net.Conn {
	c, ok := r.Context().Value(connKey{}).(net.Conn)
	hasBody := r.Method != http.MethodHead
	if !ok || r.ProtoMajor != 1 || r.ProtoMinor != 1 || !hasBody || w.Header().Get("Content-Length") != "" {
		return nil
	}
	return c
}

// Chunk is a piece of a body, framed for chunked coding (RFC 9112 §7.1). It is encoded once, shared by all readers,
// and must not be modified. An empty one must not be written, because it would end the body.
type Chunk []byte

// chunkRoom is how many bytes a buffer reserves before a body, for the chunk's size.
const chunkRoom = 10

// frameChunk makes a chunk of what follows the chunkRoom in buf.
func frameChunk(buf []byte) Chunk {
	n := len(buf) - chunkRoom
	if n == 0 {
		return Chunk{}
	}
	var room [chunkRoom]byte
	line := append(strconv.AppendUint(room[:0], uint64(n), 16), "\r\n"...)
	begin := chunkRoom - len(line)
	copy(buf[begin:], line)
	return append(buf, "\r\n"...)[begin:]
}

// body returns the piece without its frame.
func (c Chunk) body() []byte {
	if len(c) == 0 {
		return nil
	}
	return c[bytes.IndexByte(c, '\n')+1 : len(c)-len("\r\n")]
}
