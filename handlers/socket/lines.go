package socket

import (
	"bufio"
	"bytes"
	"io"

	"github.com/duckwire/duckwire/handlers/phoenix"
)

// lineReader reads the lines of a POST's body. Each is one message.
type lineReader struct {
	r      *bufio.Reader
	most   int  // maximum size of a line, in bytes
	single bool // the whole body is one line
}

// next returns the next line, with its line feed, in a slice of its own. whole is false for a line that is too long: then
// it is the line's beginning, and the rest was dropped as it arrived. Errors: io.EOF after the last line; the body's.
func (l *lineReader) next() (line []byte, whole bool, err error) {
	size := 0
	for {
		part, err := l.r.ReadSlice('\n')
		size += len(part)
		line = append(line, part[:min(len(part), l.most-len(line))]...)
		switch {
		case err == bufio.ErrBufferFull, err == nil && l.single:
		case err == nil, err == io.EOF && size > 0:
			if size > l.most {
				return bytes.Clone(line[:min(len(line), phoenix.MaxHead)]), false, nil
			}
			return line, true, nil
		default:
			return nil, false, err
		}
	}
}
