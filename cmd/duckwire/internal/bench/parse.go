package bench

import (
	"bytes"
	"fmt"
)

// orderError is returned for an event that was lost, repeated or out of order.
type orderError struct{ want, got uint64 }

func (e *orderError) Error() string {
	if e.got < e.want {
		return fmt.Sprintf("event %d came again, or out of order; %d was next", e.got, e.want)
	}
	return fmt.Sprintf("event %d came where %d was next: something was lost", e.got, e.want)
}

var (
	eventMark  = []byte(`"n":`)
	textMark   = []byte(`"text":"`)
	resetMark  = []byte("event: reset\n")
	byeMark    = []byte("event: bye\n")
	idMark     = []byte("\nid: ")
	blockEnd   = []byte("\n\n")
	newline    = []byte("\n")
	errNoEvent = fmt.Errorf("no event")
)

// parseEvent parses one topic event, which must be the next.
func parseEvent(block []byte, next uint64) (uint64, error) {
	i := bytes.Index(block, eventMark)
	if i < 0 {
		return 0, notEvent(block)
	}
	var n uint64
	for _, c := range block[i+len(eventMark):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	if n != next {
		return 0, &orderError{want: next, got: n}
	}
	return 1, nil
}

// parseTokens parses a piece of a stream's text: one or more consecutive tokens, beginning with the next.
func parseTokens(block []byte, next uint64) (uint64, error) {
	i := bytes.Index(block, textMark)
	if i < 0 {
		return 0, notEvent(block)
	}
	text := block[i+len(textMark):]
	if i = bytes.IndexByte(text, '"'); i < 0 || i%tokenBytes != 0 {
		return 0, fmt.Errorf("half a token in %.100q", block)
	}
	var buf [tokenBytes]byte
	for text = text[:i]; len(text) > 0; text = text[tokenBytes:] {
		if !bytes.Equal(text[:tokenBytes], appendToken(buf[:0], next)) {
			return 0, fmt.Errorf("token %q came where %d was next", text[:tokenBytes], next)
		}
		next++
	}
	return uint64(i / tokenBytes), nil
}

// notEvent returns an error for reset and bye, and errNoEvent for other blocks without an event.
func notEvent(block []byte) error {
	if bytes.Contains(block, resetMark) || bytes.Contains(block, byeMark) {
		return fmt.Errorf("the server says %q", block)
	}
	return errNoEvent
}
