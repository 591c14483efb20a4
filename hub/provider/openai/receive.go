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
	"github.com/duckwire/duckwire/hub/provider/openai/eventstream"
)

const (
	readBuffer   = 16 << 10
	endTimeout   = 5 * time.Second       // how long [DONE] and the usage may take once every choice has ended
	drainTimeout = 50 * time.Millisecond // how long the end of the body may take after [DONE]; then the connection is not kept
)

// receive reads an answer whose status is 200.
func (p *Provider) receive(resp *http.Response, dog *watchdog, w hub.CompletionWriter) error {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if strings.HasSuffix(media, "html") {
		return failure(http.StatusBadGateway, "upstream_invalid", "the upstream answered with a web page; is its address right?")
	}
	if !strings.HasSuffix(media, "json") { // a whole answer may still turn out to be an error
		w.Accepted()
	}
	body := bufio.NewReaderSize(watched{resp.Body, dog}, readBuffer)
	first, err := firstByte(body)
	if err != nil {
		return truncated(err)
	}
	a := &answer{provider: p, w: w}
	if first == '{' { // not a stream, whatever it is called
		dog.guard(p.opts.SilenceTimeout, errSilence)
		err = p.receiveWhole(a, body)
	} else {
		err = p.receiveStream(a, body, dog)
	}
	if err != nil {
		return err
	}
	return a.finish()
}

// firstByte returns the first byte that is not white space, without taking it.
func firstByte(r *bufio.Reader) (byte, error) {
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

// receiveStream reads events up to [DONE]. An answer that ends without is whole if every choice had a finish reason.
func (p *Provider) receiveStream(a *answer, body *bufio.Reader, dog *watchdog) error {
	events := eventstream.NewReader(body, p.opts.MaxEvent)
	for begun, lingers := false, false; ; {
		ev, err := events.Next()
		if err != nil {
			if a.whole() {
				return nil
			}
			return p.cut(err)
		}
		if !begun {
			begun = true
			dog.guard(p.opts.SilenceTimeout, errSilence)
		}
		done, err := a.event(ev)
		if err != nil {
			return err
		}
		if done {
			dog.arm(drainTimeout, errNoEnd)
			_, _ = io.CopyN(io.Discard, body, maxRefusal) // to its end, so that the connection can be kept; an error only loses that
			return nil
		}
		if !lingers && a.whole() {
			lingers = true
			dog.guard(min(endTimeout, p.opts.SilenceTimeout), errNoEnd)
		}
	}
}

// cut tells why an answer broke off.
func (p *Provider) cut(err error) error {
	var long *eventstream.TooLongError
	if errors.As(err, &long) {
		return failure(http.StatusBadGateway, "upstream_invalid", "the upstream sent an event of more than %d bytes", long.Limit)
	}
	return truncated(err)
}

func truncated(err error) error {
	how := "the connection broke"
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		how = "its answer ended"
	}
	return failure(http.StatusBadGateway, "upstream_truncated", "the upstream did not finish: %s before a finish reason or [DONE] came", how)
}

// receiveWhole reads an answer that is not a stream: a whole completion, or an error after all.
func (p *Provider) receiveWhole(a *answer, body io.Reader) error {
	raw, err := io.ReadAll(io.LimitReader(body, int64(p.opts.MaxEvent)+1))
	if err != nil {
		return truncated(err)
	}
	if len(raw) > p.opts.MaxEvent {
		return failure(http.StatusBadGateway, "upstream_invalid", "the upstream's answer has more than %d bytes", p.opts.MaxEvent)
	}
	line, err := a.compact(bytes.TrimSpace(raw))
	if err != nil {
		return err
	}
	chunk, err := unstream(line)
	if err != nil {
		return err
	}
	return a.chunk(chunk, "")
}
