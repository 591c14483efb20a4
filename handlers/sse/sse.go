// Package sse encodes event streams (WHATWG HTML §9.2; openapi.yaml describes the blocks under "Event streams"). In
// each block the id is last and data is never absent, and each block must be sent in one write. The package appends
// bytes and does no I/O.
package sse

import (
	"bytes"
	"strconv"
	"time"

	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// ContentType is the Content-Type of every event stream.
const ContentType = "text/event-stream; charset=utf-8"

// Event names of this server's own blocks. Their data is the schema of that name in openapi.yaml.
const (
	Hello = "hello"
	End   = "end"
	Reset = "reset"
	Bye   = "bye"
	Chunk = "chunk"
)

// Reserved reports whether a topic event of that name must be sent without an event field, because the name is used by
// the server's own blocks or by EventSource. The envelope has the name.
func Reserved(name string) bool {
	switch name {
	case Hello, End, Reset, Bye, "open", "error", "message":
		return true
	}
	return false
}

// AppendBlock appends one block. An empty event means unnamed; an empty id leaves the position unchanged. data must be
// one line of JSON; use AppendData for anything else.
func AppendBlock(dst []byte, event string, data []byte, id string) []byte {
	dst = AppendHead(dst, event, data)
	if id != "" {
		dst = append(dst, "id: "...)
		dst = append(dst, id...)
		dst = append(dst, '\n')
	}
	return append(dst, '\n')
}

// AppendHead appends a block without its id and its end. Readers with different ids share it.
func AppendHead(dst []byte, event string, data []byte) []byte {
	if event != "" {
		dst = append(dst, "event: "...)
		dst = append(dst, event...)
		dst = append(dst, '\n')
	}
	dst = append(dst, "data: "...)
	dst = append(dst, data...)
	return append(dst, '\n')
}

// AppendData appends text as data lines. It is split at CRLF, CR and LF, which all end a line of an event stream
// (WHATWG HTML §9.2.5), so that the text cannot contain fields.
func AppendData(dst, text []byte) []byte {
	for {
		i := bytes.IndexAny(text, "\r\n")
		dst = append(dst, "data: "...)
		if i < 0 {
			dst = append(dst, text...)
			return append(dst, '\n')
		}
		dst = append(dst, text[:i]...)
		dst = append(dst, '\n')
		if text[i] == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			i++
		}
		text = text[i+1:]
	}
}

// AppendRetry appends the retry field to a block. The block must also have data.
func AppendRetry(dst []byte, wait time.Duration) []byte {
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, wait.Milliseconds(), 10)
	return append(dst, '\n')
}

// AppendHeartbeat appends the comment that keeps an idle connection open (WHATWG HTML §9.2.7), without an empty line.
func AppendHeartbeat(dst []byte, now time.Time) []byte {
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, now.UnixMilli(), 10)
	return append(dst, '\n')
}

// AppendPad appends one comment line of n bytes in all, for proxies that buffer the beginning of a response.
func AppendPad(dst []byte, n int) []byte {
	if n < 2 {
		n = 2
	}
	dst = append(dst, ':')
	dst = append(dst, bytes.Repeat([]byte{' '}, n-2)...)
	return append(dst, '\n')
}

// Greeting is the data of the first block.
type Greeting struct {
	Position  string
	Recovered bool
	Now       time.Time
	Heartbeat time.Duration
	Status    string // of a stream; "" for topics
	ID        string // the block's id; "" for none
}

// AppendJSON appends the greeting's members, without braces.
func (g *Greeting) AppendJSON(dst []byte) []byte {
	dst = append(dst, `"position":`...)
	dst = jsonw.AppendString(dst, g.Position)
	dst = append(dst, `,"recovered":`...)
	dst = strconv.AppendBool(dst, g.Recovered)
	dst = append(dst, `,"now":`...)
	dst = strconv.AppendInt(dst, g.Now.UnixMilli(), 10)
	dst = append(dst, `,"hb":`...)
	dst = strconv.AppendInt(dst, int64(g.Heartbeat/time.Second), 10)
	if g.Status != "" {
		dst = append(dst, `,"status":`...)
		dst = jsonw.AppendString(dst, g.Status)
	}
	return dst
}

// AppendHello appends the first block of a response, with EventSource's reconnection time.
func AppendHello(dst []byte, g *Greeting) []byte {
	dst = append(dst, "event: hello\ndata: {"...)
	dst = g.AppendJSON(dst)
	dst = append(dst, "}\n"...)
	dst = AppendRetry(dst, time.Second)
	if g.ID != "" {
		dst = append(append(append(dst, "id: "...), g.ID...), '\n')
	}
	return append(dst, '\n')
}

// AppendReset appends the block that reports a gap. topic is "" if there is only one.
func AppendReset(dst []byte, r *log.Reset, topic string) []byte {
	dst = append(dst, "event: reset\ndata: {"...)
	dst = AppendResetJSON(dst, r, topic)
	return append(dst, "}\n\n"...)
}

// AppendResetJSON appends a reset's members, without braces.
func AppendResetJSON(dst []byte, r *log.Reset, topic string) []byte {
	dst = append(dst, `"reason":"`...)
	dst = append(dst, r.Reason...)
	dst = append(dst, `","requested":`...)
	dst = jsonw.AppendString(dst, r.Requested)
	dst = append(dst, `,"from":"`...)
	dst = r.From.Append(dst)
	dst = append(dst, '"')
	if topic != "" {
		dst = append(dst, `,"topic":`...)
		dst = jsonw.AppendString(dst, topic)
	}
	return dst
}

// AppendBye appends the block before a clean end of the response that is not the stream's end. The client reconnects
// after retry.
func AppendBye(dst []byte, reason string, retry time.Duration) []byte {
	dst = append(dst, "event: bye\ndata: {\"reason\":"...)
	dst = jsonw.AppendString(dst, reason)
	dst = append(dst, "}\n"...)
	if retry > 0 {
		dst = AppendRetry(dst, retry)
	}
	return append(dst, '\n')
}
