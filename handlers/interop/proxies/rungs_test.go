package proxies_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/duckwire/duckwire/hub/eventstream"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// rung is one way to read a stream, for a client that supports no other.
type rung struct {
	name string
	read func(r *reader) (ended bool, err error) // one answer, from r.position on
}

// padding is the padding that our own client requests if the beginning of a response is held back.
const padding = 32 << 10

var restRungs = []rung{
	{"SSE", func(r *reader) (bool, error) { return r.readSSE(0) }},
	{"SSE, padded", func(r *reader) (bool, error) { return r.readSSE(padding) }},
	{"NDJSON", (*reader).readNDJSON},
	{"long-poll", (*reader).poll},
}

// reader reads one stream to its end, over as many answers as necessary.
type reader struct {
	caller   *caller
	id       string
	position string
	text     string
	answers  int
	got      chan time.Time // when the first piece came
}

const (
	readingTimeout = 2 * hubtest.Hung // of one answer, and of one stream
	mostAnswers    = 200              // of one stream
	breath         = 25 * time.Millisecond
)

func newReader(c *caller, id string) *reader {
	return &reader{caller: c, id: id, position: "0", got: make(chan time.Time, 1)}
}

// follow reads the stream to its end.
func (r *reader) follow(how rung) error {
	var last error
	for r.answers = 1; r.answers <= mostAnswers; r.answers++ {
		ended, err := how.read(r)
		if ended {
			return nil
		}
		if wrong := (*wrongError)(nil); errors.As(err, &wrong) {
			return err
		}
		if err != nil {
			last = err
		}
		time.Sleep(breath) // as clients do before they reconnect
	}
	return fmt.Errorf("%d answers, and no end: %w", mostAnswers, last)
}

// wrongError is an error that another answer cannot mend.
type wrongError struct{ what string }

func (e *wrongError) Error() string { return e.what }

// take adds text that begins at a byte of the whole text. It must begin at the next byte: everything else is a gap or a
// repetition.
func (r *reader) take(text string, at int, position string) error {
	if at != len(r.text) {
		return &wrongError{fmt.Sprintf("text from byte %d came when %d bytes were there", at, len(r.text))}
	}
	r.position = position
	if r.text += text; text != "" {
		select {
		case r.got <- time.Now():
		default: // not the first
		}
	}
	return nil
}

func (r *reader) open(query string) (io.ReadCloser, error) {
	resp, err := r.caller.do("GET", "/v1/streams/"+r.id+"?after="+r.position+"&"+query, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// entry has the common parts of an SSE block and an NDJSON line.
type entry struct {
	Event    string
	Position string
	Text     string
	At       int
}

func (r *reader) readSSE(pad int) (bool, error) {
	body, err := r.open(fmt.Sprintf("format=sse&hb=1&pad=%d", pad))
	if err != nil {
		return false, err
	}
	defer body.Close()
	for events := eventstream.NewReader(body, 0); ; {
		ev, err := events.Next()
		switch {
		case err != nil:
			return false, err
		case ev.Type == "end":
			return true, nil
		case ev.Type == "reset":
			return false, &wrongError{"reset: " + string(ev.Data)}
		case ev.Type == "chunk":
			var e entry
			if err := json.Unmarshal(ev.Data, &e); err != nil {
				return false, &wrongError{err.Error()}
			}
			if err := r.take(e.Text, e.At, ev.ID); err != nil {
				return false, err
			}
		}
	}
}

func (r *reader) readNDJSON() (bool, error) {
	body, err := r.open("format=ndjson&hb=1")
	if err != nil {
		return false, err
	}
	defer body.Close()
	for lines := bufio.NewReader(body); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return false, err
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return false, &wrongError{err.Error()}
		}
		switch e.Event {
		case "end":
			return true, nil
		case "reset":
			return false, &wrongError{string(line)}
		case "chunk":
			if err := r.take(e.Text, e.At, e.Position); err != nil {
				return false, err
			}
		}
	}
}

// streamState is the part of a stream's JSON that the tests read.
type streamState struct {
	Status, Text, Position string
	At, Bytes              int
}

func (s *streamState) ended() bool { return s.Status != "queued" && s.Status != "running" }

// poll waits for news, for less than the shortest idle limit.
func (r *reader) poll() (bool, error) {
	var s streamState
	if err := r.caller.call("GET", "/v1/streams/"+r.id+"?format=json&wait=1&after="+r.position, nil, &s); err != nil {
		return false, err
	}
	if err := r.take(s.Text, s.At, s.Position); err != nil {
		return false, err
	}
	return s.ended() && len(r.text) == s.Bytes, nil
}
