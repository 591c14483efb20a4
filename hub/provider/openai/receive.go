package openai

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/eventstream"
)

const (
	readBuffer = 16 << 10
	// maximum wait for the end of the body after [DONE]; after that the connection is not reused
	drainTimeout = 50 * time.Millisecond
)

// receive reads an answer with status 200.
func (p *Provider) receive(
	resp *http.Response, addedUsage bool, dog *watchdog, w hub.CompletionWriter,
) error {
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && coding != "identity" { // not decoded by plainBodies
		return failure(http.StatusBadGateway, "upstream_invalid",
			"the upstream's answer is encoded as %.40q, which was not asked for", coding)
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if strings.HasSuffix(media, "html") {
		return failure(http.StatusBadGateway, "upstream_invalid",
			"the upstream answered with a web page; is its address right?")
	}
	if !strings.HasSuffix(media, "json") { // an answer that is not a stream may still be an error
		w.Accepted()
	}
	body := bufio.NewReaderSize(watched{resp.Body, dog}, readBuffer)
	first, err := firstByte(body)
	if err != nil {
		return truncated(err)
	}
	a := &answer{provider: p, w: w, addedUsage: addedUsage}
	if first == '{' || first == '[' { // not a stream, whatever the Content-Type says
		dog.guard(p.opts.SilenceTimeout, errSilence)
		return p.receiveWhole(a, body)
	}
	if err := p.receiveStream(a, body, dog); err != nil {
		return err
	}
	return a.finish()
}

// firstByte peeks at the first byte that is neither white space nor a byte order mark.
func firstByte(r *bufio.Reader) (byte, error) {
	if mark, _ := r.Peek(len("\ufeff")); string(mark) == "\ufeff" {
		_, _ = r.Discard(len(mark)) // is buffered
	}
	for {
		b, err := r.Peek(1)
		if err != nil {
			return 0, err
		}
		switch b[0] {
		case ' ', '\t', '\r', '\n':
			_, _ = r.Discard(1) // is buffered
		default:
			return b[0], nil
		}
	}
}

// receiveStream reads events up to [DONE]. Without [DONE], the answer is complete if every choice had a finish reason.
func (p *Provider) receiveStream(a *answer, body *bufio.Reader, dog *watchdog) error {
	events := eventstream.NewReader(body, p.opts.MaxEvent)
	for begun, ending := false, false; ; {
		ev, err := events.Next()
		if err != nil {
			if a.complete() {
				return nil
			}
			return p.cut(err)
		}
		if !begun {
			begun = true
			dog.guard(p.opts.SilenceTimeout, errSilence)
		}
		if !ending {
			dog.extend(p.opts.AnswerTimeout) // comments alone are no answer
		}
		done, err := a.event(ev)
		if err != nil {
			return err
		}
		if done {
			dog.within(drainTimeout, errNoEnd)
			// to its end, so that the connection can be reused; an error only prevents that
			_, _ = io.CopyN(io.Discard, body, maxRefusal)
			return nil
		}
		if ended := a.complete() && !a.late; ended != ending { // after late text the upstream may go on
			if ending = ended; ending {
				dog.unguard()
				dog.within(p.opts.EndTimeout, errNoEnd)
			} else {
				dog.within(p.opts.AnswerTimeout, errNoAnswer)
				dog.guard(p.opts.SilenceTimeout, errSilence)
			}
		}
	}
}

// cut returns the error for an answer that broke off.
func (p *Provider) cut(err error) error {
	var long *eventstream.TooLongError
	if errors.As(err, &long) {
		return failure(http.StatusBadGateway, "upstream_invalid", "the upstream sent an event of more than %d bytes",
			long.Limit)
	}
	return truncated(err)
}

func truncated(err error) error {
	how := "the connection broke"
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		how = "its answer ended"
	}
	return failure(http.StatusBadGateway, "upstream_truncated",
		"the upstream did not finish: %s before a finish reason or [DONE] came", how)
}

// receiveWhole reads an answer that is not a stream: a complete answer, or an error.
func (p *Provider) receiveWhole(a *answer, body io.Reader) error {
	raw, err := io.ReadAll(io.LimitReader(body, int64(p.opts.MaxEvent)+1))
	if err != nil {
		return truncated(err)
	}
	if len(raw) > p.opts.MaxEvent {
		return failure(http.StatusBadGateway, "upstream_invalid", "the upstream's answer has more than %d bytes",
			p.opts.MaxEvent)
	}
	line, err := a.compact(bytes.TrimSpace(raw))
	if err != nil {
		return err
	}
	return a.whole(line)
}
