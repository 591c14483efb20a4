package doctor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// line is one line of an event stream, and the time when it arrived.
type line struct {
	text string
	at   time.Time
}

// stream is an event stream that a goroutine reads until close.
type stream struct {
	resp  *http.Response // nil until the header was received
	lines chan line      // closed at the end
	err   error          // why it ended; may be read after lines was closed
	stop  context.CancelFunc
}

var (
	errTimeout     = errors.New("nothing came in time")
	errStreamEnded = errors.New("the stream ended")
)

// open requests the topic's event stream and starts a goroutine that reads it until close. It returns errTimeout if the
// header does not arrive in time.
func (e *examination) open(ctx context.Context, query url.Values, header ...string) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	req, err := e.request(ctx, http.MethodGet, e.events()+"?"+query.Encode(), "")
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	s := &stream{lines: make(chan line, 16), stop: cancel}
	head := make(chan struct{})
	go s.read(ctx, e.client, req, head)
	select {
	case <-head:
	case <-time.After(e.Patience):
		s.close()
		return nil, errTimeout
	}
	if s.resp == nil || s.resp.StatusCode != http.StatusOK {
		s.close()
		return nil, s.err
	}
	return s, nil
}

// close ends the stream and waits for its goroutine.
func (s *stream) close() {
	s.stop()
	for range s.lines {
	}
}

// read sends the request and reads the response. It closes head when the status is known.
func (s *stream) read(ctx context.Context, client *http.Client, req *http.Request, head chan<- struct{}) {
	defer close(s.lines)
	resp, err := client.Do(req)
	if err != nil {
		s.err = withoutURL(err)
		close(head)
		return
	}
	defer resp.Body.Close()
	if s.resp = resp; resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		s.err = (&answer{status: resp.StatusCode, body: text}).refused()
	}
	close(head)
	if s.err != nil {
		return
	}
	s.err = errStreamEnded
	in := bufio.NewReaderSize(resp.Body, 128<<10) // padding is one long line
	for {
		text, err := in.ReadString('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.err = fmt.Errorf("it was cut: %w", err)
			}
			return
		}
		select {
		case s.lines <- line{strings.TrimRight(text, "\r\n"), time.Now()}:
		case <-ctx.Done():
			return
		}
	}
}

// await returns the next line that match accepts, errTimeout after the given time, or the reason why the stream ended.
func (s *stream) await(within time.Duration, match func(string) bool) (line, error) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		select {
		case l, ok := <-s.lines:
			switch {
			case !ok:
				return line{}, s.err
			case match(l.text):
				return l, nil
			}
		case <-timer.C:
			return line{}, errTimeout
		}
	}
}

// isHello accepts the first line of hello.
func isHello(text string) bool { return text == "event: hello" }

// isBeat accepts a heartbeat, which is a short comment. The padding is a comment that begins with a space.
func isBeat(text string) bool {
	return len(text) > 1 && len(text) < 32 && text[0] == ':' && text[1] != ' '
}

// named returns a function that accepts the data line of the named event.
func named(name string) func(string) bool {
	return func(text string) bool {
		data, ok := strings.CutPrefix(text, "data: ")
		var envelope struct{ Event string }
		return ok && json.Unmarshal([]byte(data), &envelope) == nil && envelope.Event == name
	}
}
