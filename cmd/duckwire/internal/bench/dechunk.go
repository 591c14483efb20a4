package bench

import "errors"

var errChunk = errors.New("the answer's chunked coding is broken")

// dechunker decodes the HTTP/1.1 chunked coding of a body (RFC 9112 §7.1), in place and across reads.
type dechunker struct {
	state int
	left  int // remaining bytes of the chunk
}

const (
	inSize = iota // in a chunk's size
	inExt         // in the chunk extension, up to the end of the line
	inData        // in a chunk's data
	inEnd         // in the line end after a chunk
	atEnd         // after the last chunk
)

// strip moves the body's bytes in b to its front and returns them. done reports that the body has ended.
func (d *dechunker) strip(b []byte) (body []byte, done bool, err error) {
	out := b[:0]
	for i := 0; i < len(b); {
		switch d.state {
		case inData:
			n := min(d.left, len(b)-i)
			out = append(out, b[i:i+n]...)
			i += n
			if d.left -= n; d.left == 0 {
				d.state = inEnd
			}
			continue
		case atEnd:
			return out, true, nil
		case inEnd:
			if b[i] == '\n' {
				d.state = inSize
			}
		default:
			if err := d.size(b[i]); err != nil {
				return out, false, err
			}
		}
		i++
	}
	return out, d.state == atEnd, nil
}

// size processes one byte of a chunk's first line.
func (d *dechunker) size(c byte) error {
	switch {
	case c == '\n' && d.left == 0:
		d.state = atEnd
	case c == '\n':
		d.state = inData
	case d.state == inExt:
	case c >= '0' && c <= '9':
		d.left = d.left<<4 | int(c-'0')
	case c >= 'a' && c <= 'f':
		d.left = d.left<<4 | int(c-'a'+10)
	case c >= 'A' && c <= 'F':
		d.left = d.left<<4 | int(c-'A'+10)
	case c == ';' || c == '\r':
		d.state = inExt
	default:
		return errChunk
	}
	if d.left > 1<<30 {
		return errChunk
	}
	return nil
}
