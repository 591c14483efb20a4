// Package contentcoding decodes HTTP's content codings (RFC 9110 §8.4.1).
package contentcoding

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
)

// Decoder returns the function that returns a reader of decoded bytes, or nil for a coding that is neither gzip nor
// deflate, in lower case. The function reads the first bytes at once. Its errors are r's, and those of compress/gzip and
// compress/zlib.
func Decoder(coding string) func(r io.Reader) (io.Reader, error) {
	switch coding {
	case "gzip", "x-gzip":
		return openGzip
	case "deflate":
		return openDeflate
	}
	return nil
}

// openGzip is gzip.NewReader, but its reader is nil after an error.
func openGzip(r io.Reader) (io.Reader, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	return z, nil
}

// openDeflate decodes zlib's format (RFC 9110 §8.4.1.2). Some programs send bare deflate, which is recognised.
func openDeflate(r io.Reader) (io.Reader, error) {
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
