// Package deflate decodes the content coding "deflate" of HTTP.
package deflate

import (
	"bufio"
	"compress/flate"
	"compress/zlib"
	"io"
)

// NewReader returns a reader of decoded bytes. The coding is zlib's format (RFC 9110 §8.4.1.2); some programs send bare
// deflate, which is recognised. It reads the first bytes at once. Errors: r's, and those of zlib.NewReader.
func NewReader(r io.Reader) (io.Reader, error) {
	in := bufio.NewReader(r)
	head, err := in.Peek(2)
	if err != nil {
		return nil, err
	}
	if head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 { // RFC 1950 §2.2
		return zlib.NewReader(in)
	}
	return flate.NewReader(in), nil
}
