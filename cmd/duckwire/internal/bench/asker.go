package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// asker is the client of one streamed completion: a plain connection whose tokens are checked against their numbers.
type asker struct {
	first   time.Duration   // from sending the request to reading the first token
	latency []time.Duration // of each token, from the upstream's write to reading it
	got     uint64          // tokens so far
	asked   time.Time
}

var (
	dataMark    = []byte("data: ")
	doneMark    = []byte("[DONE]")
	faultMark   = []byte(`{"error"`)
	contentMark = []byte(`"content":"`)
)

// ask requests a completion of n tokens, and reads it to its end.
func (a *asker) ask(ctx context.Context, t *Target, n int) error {
	a.latency = make([]time.Duration, 0, n)
	conn, err := (&net.Dialer{Timeout: callTimeout}).DialContext(ctx, "tcp", t.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	a.asked = time.Now()
	if _, err := conn.Write(completionRequest(t, n)); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, readBuffer), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, readBuffer)) // an incomplete body is enough
		return fmt.Errorf("POST %s: %s %s", completionPath, resp.Status, bytes.TrimSpace(body))
	}
	if err := a.read(resp.Body); err != nil {
		return fmt.Errorf("POST %s: %w", completionPath, err)
	}
	if a.got != uint64(n) {
		return fmt.Errorf("POST %s: the answer ended after %d of %d tokens", completionPath, a.got, n)
	}
	return nil
}

// completionRequest returns a request for n tokens.
func completionRequest(t *Target, n int) []byte {
	body := fmt.Sprintf(`{"model":"bench","stream":true,"max_tokens":%d,`+
		`"messages":[{"role":"user","content":"Count."}]}`, n)
	return fmt.Appendf(t.appendHead(nil, "POST", completionPath),
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// read reads the answer up to its end, which must follow [DONE].
func (a *asker) read(body io.Reader) error {
	lines := bufio.NewReaderSize(body, readBuffer)
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("after token %d: %w", a.got, err)
		}
		data, ok := bytes.CutPrefix(line, dataMark)
		switch {
		case !ok:
		case bytes.HasPrefix(data, doneMark):
			_, err := io.Copy(io.Discard, lines)
			return err
		case bytes.HasPrefix(data, faultMark):
			return fmt.Errorf("the server says %q", data)
		default:
			if err := a.chunk(data, time.Now()); err != nil {
				return err
			}
		}
	}
}

// chunk processes a chunk, which may have several tokens, or none.
func (a *asker) chunk(data []byte, now time.Time) error {
	_, text, _ := bytes.Cut(data, contentMark)
	text, _, _ = bytes.Cut(text, []byte{'"'})
	if len(text)%stampedBytes != 0 {
		return fmt.Errorf("half a token in %.200q", data)
	}
	for ; len(text) > 0; text = text[stampedBytes:] {
		n, err := strconv.ParseUint(string(text[:tokenBytes-1]), 10, 64)
		if err != nil {
			return err
		}
		if n != a.got+1 {
			return &orderError{want: a.got + 1, got: n}
		}
		sent, err := strconv.ParseInt(string(text[tokenBytes:stampedBytes-1]), 10, 64)
		if err != nil {
			return err
		}
		if a.got = n; n == 1 {
			a.first = now.Sub(a.asked)
		}
		a.latency = append(a.latency, time.Duration(now.UnixNano()-sent))
	}
	return nil
}
