package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// wholeBlocks hands on an event stream block by block, and never a part of one: what a cut left behind is dropped, and comments too.
//
// The SSE client library takes the end of a body for the end of a block, so it would deliver half an event, or a whole one with half its
// id; and it would collect a silent connection's heartbeats for ever. Behind this reader it cannot.
type wholeBlocks struct {
	lines *bufio.Reader
	limit int
	block bytes.Buffer // lines of a block that is not yet whole
	out   []byte       // what may be handed on
	whole []byte       // backs out
	err   error        // how the body ended
	begun bool
}

func newWholeBlocks(r io.Reader, limit int) *wholeBlocks {
	return &wholeBlocks{lines: bufio.NewReaderSize(r, 32<<10), limit: limit}
}

// Read implements io.Reader.
func (b *wholeBlocks) Read(p []byte) (int, error) {
	for len(b.out) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		b.err = b.take()
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	return n, nil
}

// take reads up to the end of one block. Our lines end in LF; a CR before it, put there by a proxy, is dropped.
func (b *wholeBlocks) take() error {
	for {
		line, err := b.line()
		if err != nil {
			return err
		}
		switch {
		case len(line) > 0 && line[0] == ':':
		case len(line) > 0:
			b.block.Write(line)
			b.block.WriteByte('\n')
		case b.block.Len() > 0:
			b.block.WriteByte('\n')
			b.whole = append(b.whole[:0], b.block.Bytes()...)
			b.out = b.whole
			b.block.Reset()
			return nil
		}
	}
}

// line reads one line without its end.
func (b *wholeBlocks) line() ([]byte, error) {
	var long []byte
	for {
		part, err := b.lines.ReadSlice('\n')
		if b.block.Len()+len(long)+len(part) > b.limit {
			return nil, bufio.ErrTooLong
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, part...)
			continue
		}
		if err != nil {
			return nil, err
		}
		if long != nil {
			part = append(long, part...)
		}
		part = bytes.TrimSuffix(part[:len(part)-1], []byte("\r"))
		if !b.begun {
			b.begun = true
			part = bytes.TrimPrefix(part, []byte("\xef\xbb\xbf"))
		}
		return part, nil
	}
}
