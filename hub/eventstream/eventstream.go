// Package eventstream reads event streams (WHATWG HTML §9.2.5 and §9.2.6): what an EventSource would dispatch, from any io.Reader. It is
// linear in the length of the stream, bounded in memory, and depends on nothing but the standard library.
package eventstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// DefaultLimit is how many bytes an event may have where NewReader is given no limit: 4 MiB.
const DefaultLimit = 4 << 20

// Event is one dispatched event.
type Event struct {
	// Type is the event's name; "" is what an EventSource calls "message".
	Type string
	// Data is the data lines, joined by LF. It may be empty, and is not decoded: the standard asks for invalid UTF-8 to become U+FFFD, which
	// is the caller's to do. Good until the next call of Next.
	Data []byte
	// ID is the last event ID: that of this event, or of the latest one before it that had an id.
	ID string
}

// TooLongError is an event, or a single line, that is longer than the reader's limit. Nothing more can be read then.
type TooLongError struct{ Limit int }

func (e *TooLongError) Error() string { return fmt.Sprintf("an event has more than %d bytes", e.Limit) }

// Reader reads one event stream. Not safe for concurrent use.
type Reader struct {
	src   *bufio.Reader
	limit int
	err   error // for good

	begun  bool   // the first line, which may begin with a BOM, has been seen
	skipLF bool   // the last line ended in CR: an LF now belongs to it
	line   []byte // the beginning of a line that did not come in one piece

	event string // the standard's event type buffer
	data  []byte // its data buffer, each line with an LF
	sent  bool   // data was handed out and is to be emptied
	newID string // its last event ID buffer
	id    string // its last event ID string
	retry time.Duration
}

// NewReader returns a Reader of r that accepts events of up to limit bytes: of their data, and of a line with its field name. 0 is
// DefaultLimit.
func NewReader(r io.Reader, limit int) *Reader {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Reader{src: bufio.NewReaderSize(r, 16<<10), limit: limit}
}

// LastID returns the last event ID: what a client sends as Last-Event-ID when it comes back.
func (r *Reader) LastID() string { return r.id }

// Retry returns the latest reconnection time that the stream asked for, and 0 if it asked for none.
func (r *Reader) Retry() time.Duration { return r.retry }

// Next returns the next event. It returns as soon as the event's empty line has come, and never waits for what follows.
//
// Errors: io.EOF at the end of the stream; io.ErrUnexpectedEOF where it ends within an event or a line, which is lost, as the standard has
// it; *TooLongError; or the source's own error. After an error every call returns the same.
func (r *Reader) Next() (Event, error) {
	if r.sent {
		r.data, r.event, r.sent = r.data[:0], "", false
	}
	for r.err == nil {
		line, err := r.readLine()
		if err != nil {
			r.err = r.ending(err)
			break
		}
		if len(line) == 0 {
			if r.dispatch() {
				return Event{Type: r.event, Data: r.data[:len(r.data)-1], ID: r.id}, nil
			}
			continue
		}
		r.field(line)
		if len(r.data) > r.limit {
			r.err = &TooLongError{Limit: r.limit}
		}
	}
	return Event{}, r.err
}

func (r *Reader) ending(err error) error {
	if errors.Is(err, io.EOF) && (len(r.line) > 0 || len(r.data) > 0) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readLine returns the next line without its end: CRLF, LF or CR. The line is good until the next call.
func (r *Reader) readLine() ([]byte, error) {
	r.line = r.line[:0]
	for {
		if _, err := r.src.Peek(1); err != nil {
			return nil, err
		}
		chunk, _ := r.src.Peek(r.src.Buffered())
		if r.skipLF {
			r.skipLF = false
			if chunk[0] == '\n' {
				r.discard(1)
				continue
			}
		}
		end := bytes.IndexAny(chunk, "\r\n")
		if end < 0 {
			r.line = append(r.line, chunk...)
			r.discard(len(chunk))
		}
		if len(r.line)+max(end, 0)+len(r.data) > r.limit {
			return nil, &TooLongError{Limit: r.limit}
		}
		if end >= 0 {
			r.skipLF = chunk[end] == '\r'
			return r.finishLine(chunk[:end]), nil
		}
	}
}

// finishLine returns the whole line whose last piece, still in the source's buffer, is given.
func (r *Reader) finishLine(last []byte) []byte {
	line := last
	if len(r.line) > 0 {
		r.line = append(r.line, last...)
		line = r.line
	}
	r.discard(len(last) + 1)
	if !r.begun {
		r.begun = true
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	return line
}

// discard skips bytes that are buffered, which cannot fail. They stay in place until the source is read again.
func (r *Reader) discard(n int) { _, _ = r.src.Discard(n) }

// field processes a line that is not empty (§9.2.6). Comments and unknown fields are ignored.
func (r *Reader) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimPrefix(value, []byte{' '})
	switch string(name) {
	case "event":
		r.event = string(value)
	case "data":
		r.data = append(append(r.data, value...), '\n')
	case "id":
		if bytes.IndexByte(value, 0) < 0 && string(value) != r.newID {
			r.newID = string(value)
		}
	case "retry":
		if d, ok := milliseconds(value); ok {
			r.retry = d
		}
	}
}

// milliseconds reads a number that is nothing but ASCII digits. What is longer than a year counts as a year.
func milliseconds(digits []byte) (time.Duration, bool) {
	const most = 365 * 24 * time.Hour
	var ms int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		ms = min(ms*10+int64(c-'0'), most.Milliseconds())
	}
	return time.Duration(ms) * time.Millisecond, len(digits) > 0
}

// dispatch ends an event at its empty line, and reports whether there is one: a block without data is none.
func (r *Reader) dispatch() bool {
	r.id = r.newID
	if len(r.data) == 0 {
		r.event = ""
		return false
	}
	r.sent = true
	return true
}
