// Package eventstream parses event streams (WHATWG HTML §9.2.5 and §9.2.6) from an io.Reader: it returns the events
// that an EventSource would dispatch. It takes linear time and bounded memory, and depends only on the standard
// library.
package eventstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// DefaultLimit is the default limit of NewReader: 4 MiB.
const DefaultLimit = 4 << 20

// Event is one dispatched event.
type Event struct {
	// Type is the event's name; "" stands for "message".
	Type string
	// Data is the data lines, joined by LF. It may be empty. It may contain invalid UTF-8, which the standard replaces
	// by U+FFFD: that is left to the caller. Data is valid until the next call of Next.
	Data []byte
	// ID is the last event ID: that of this event, or of the latest earlier one with an id.
	ID string
}

// TooLongError is returned for an event or a line that exceeds the reader's limit. Nothing more can be read then.
type TooLongError struct{ Limit int }

func (e *TooLongError) Error() string { return fmt.Sprintf("an event has more than %d bytes", e.Limit) }

// Reader reads one event stream. Not safe for concurrent use.
type Reader struct {
	src   *bufio.Reader
	limit int
	err   error // returned by each later call

	begun  bool   // the first line, which may begin with a BOM, was read
	skipLF bool   // the last line ended in CR: an LF that follows belongs to it
	line   []byte // the beginning of an incomplete line

	event string // the standard's event type buffer
	data  []byte // the standard's data buffer, each line with an LF
	sent  bool   // data was returned, and must be emptied before the next event
	newID string // the standard's last event ID buffer
	id    string // the standard's last event ID string
	retry time.Duration
}

// NewReader returns a Reader of r. limit is the maximum number of bytes of an event's data, and of a line with its
// field name; 0 means DefaultLimit.
func NewReader(r io.Reader, limit int) *Reader {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Reader{src: bufio.NewReaderSize(r, 16<<10), limit: limit}
}

// LastID returns the last event ID, which a reconnecting client sends as Last-Event-ID.
func (r *Reader) LastID() string { return r.id }

// Retry returns the latest reconnection time in the stream, or 0 if there was none.
func (r *Reader) Retry() time.Duration { return r.retry }

// Next returns the next event. It returns when the event's empty line has arrived, without waiting for further bytes.
//
// Errors: io.EOF at the end of the stream; io.ErrUnexpectedEOF if it ends within an event or a line, which is dropped
// as the standard requires; *TooLongError; or the source's error. Later calls return the same error.
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

// readLine returns the next line without its end: CRLF, LF or CR. The line is valid until the next call.
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

// finishLine returns the complete line, given its last piece, which is still in the source's buffer.
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

// discard skips buffered bytes, which cannot fail. They stay valid until the source is read again.
func (r *Reader) discard(n int) { _, _ = r.src.Discard(n) }

// field processes a non-empty line (§9.2.6). Comments and unknown fields are ignored.
func (r *Reader) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimPrefix(value, []byte{' '})
	switch string(name) {
	case "event":
		r.event = string(value)
	case "data":
		r.data = append(append(r.data, value...), '\n')
	case "error": // not in the standard: servers of llama.cpp's kind
		r.event = "error"
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

// milliseconds parses a number of ASCII digits only. More than a year counts as a year.
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

// dispatch ends an event at its empty line. It reports false if the event has no data.
func (r *Reader) dispatch() bool {
	r.id = r.newID
	if len(r.data) == 0 {
		r.event = ""
		return false
	}
	r.sent = true
	return true
}
