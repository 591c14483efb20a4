package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"
)

// callTimeout is the timeout of one request.
const callTimeout = 30 * time.Second

// poster sends requests over one persistent connection. It belongs to one goroutine. net/http's client would use more
// processor time than the server under test.
type poster struct {
	target *Target
	conn   net.Conn
	in     *bufio.Reader
	out    []byte
	body   []byte // of the last response
	stop   func() bool
}

// newPoster connects. The connection is closed when ctx ends.
func newPoster(ctx context.Context, t *Target) (*poster, error) {
	conn, err := (&net.Dialer{Timeout: callTimeout}).DialContext(ctx, "tcp", t.addr)
	if err != nil {
		return nil, err
	}
	p := &poster{target: t, conn: conn, in: bufio.NewReaderSize(conn, 4<<10)}
	p.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return p, nil
}

// posters has a poster for each node.
type posters []*poster

func newPosters(ctx context.Context, t *Target) (all posters, err error) {
	for i := range max(1, len(t.nodes)) {
		p, err := newPoster(ctx, t.node(i))
		if err != nil {
			all.close()
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func (all posters) close() {
	for _, p := range all {
		p.close()
	}
}

func (p *poster) close() {
	p.stop()
	_ = p.conn.Close()
}

// post sends a body and reads the response. A status of 400 or more is an error that quotes the response. header has
// the form "Name: value\r\n…".
func (p *poster) post(path, header string, body []byte) error {
	p.out = p.target.appendHead(p.out[:0], "POST", path)
	p.out = append(p.out, header...)
	p.out = append(p.out, "Content-Length: "...)
	p.out = strconv.AppendInt(p.out, int64(len(body)), 10)
	p.out = append(append(p.out, "\r\n\r\n"...), body...)
	_ = p.conn.SetDeadline(time.Now().Add(callTimeout))
	if _, err := p.conn.Write(p.out); err != nil {
		return err
	}
	status, err := p.answer()
	if err == nil && status >= 400 {
		err = fmt.Errorf("POST %s: %d %s", path, status, bytes.TrimSpace(p.body))
	}
	return err
}

// answer reads a whole response.
func (p *poster) answer() (status int, err error) {
	line, err := p.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if status, err = parseStatus(line); err != nil {
		return 0, err
	}
	length := 0
	for {
		line, err := p.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		switch name, value, _ := bytes.Cut(line, []byte(":")); {
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return status, p.chunkedBody()
		}
	}
	p.body = append(p.body[:0], make([]byte, length)...)
	_, err = io.ReadFull(p.in, p.body)
	return status, err
}

// chunkedBody reads the rest of the head, and a body in chunked coding.
func (p *poster) chunkedBody() error {
	for line := []byte(nil); len(line) != len("\r\n"); {
		var err error
		if line, err = p.in.ReadSlice('\n'); err != nil {
			return err
		}
	}
	body, err := io.ReadAll(httputil.NewChunkedReader(p.in))
	p.body = body
	if err == nil {
		_, err = p.in.ReadSlice('\n') // the final line end, which the chunked reader does not read
	}
	return err
}

// parseStatus parses a status line such as "HTTP/1.1 200 OK".
func parseStatus(line []byte) (int, error) {
	fields := strings.Fields(string(line))
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "HTTP/1.") {
		return 0, fmt.Errorf("the answer is no HTTP: %.40q", line)
	}
	return strconv.Atoi(fields[1])
}
