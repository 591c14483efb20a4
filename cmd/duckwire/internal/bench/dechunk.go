package bench

import "errors"

var errChunk = errors.New("the answer's chunked coding is broken")

// dechunker takes HTTP/1.1 chunked coding off a body (RFC 9112 §7.1), in place and across reads.
type dechunker struct {
	state int
	left  int // bytes of the chunk still to come
}

const (
	inSize = iota // in the line of a chunk's size
	inExt         // behind it, to the end of the line
	inData        // in the chunk
	inEnd         // in the line end behind the chunk
	atEnd         // behind the last chunk
)

// strip returns the body's bytes in b, moved to its front. done says that the body has ended.
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

// size takes one byte of a chunk's first line.
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
