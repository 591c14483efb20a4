package handlers_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
)

// TestDirectIsTheSame compares responses that are written directly to the connection with those that pass through
// net/http: they have the same bytes in every format, they end correctly, and the connection accepts another request.
func TestDirectIsTheSame(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	plain := httptest.NewServer(s.Config.Handler)
	t.Cleanup(plain.Close)
	made := call[streamJSON](s, http.StatusCreated, "POST", "/v1/streams", `{"kind":"test"}`)
	path := "/v1/streams/" + made.ID
	for _, shape := range []string{"sse", "ndjson", "text"} {
		t.Run(shape, func(t *testing.T) {
			direct := openRaw(t, s, s.Listener.Addr().String(), path+"?format="+shape)
			through := openRaw(t, s, plain.Listener.Addr().String(), path+"?format="+shape)
			for i := range 3 {
				s.do("POST", path+"/append", fmt.Sprintf("piece %d of %s\n", i, shape), "Content-Type: text/plain").Body.Close()
			}
			if shape == "text" {
				s.do("POST", path+"/append", "", "Stream-Closed: true").Body.Close()
				compare(t, direct.body(t, ""), through.body(t, ""))
				direct.again(t, s)
				return
			}
			last := "piece 2 of " + shape
			compare(t, direct.body(t, last), through.body(t, last))
		})
	}
}

func compare(t *testing.T, direct, through string) {
	t.Helper()
	now := regexp.MustCompile(`"now":\d+`)
	// Only the text is compared, because the two ways may merge pieces into different blocks.
	text := regexp.MustCompile(`piece \d of \w+`)
	got := text.FindAllString(now.ReplaceAllString(direct, ""), -1)
	want := text.FindAllString(now.ReplaceAllString(through, ""), -1)
	if fmt.Sprint(got) != fmt.Sprint(want) || len(got) < 3 {
		t.Errorf("straight to the connection:\n%s\nthrough net/http:\n%s", direct, through)
	}
}

// rawConn is a connection with one response.
type rawConn struct {
	net.Conn
	in   *bufio.Reader
	resp *http.Response
}

func openRaw(t *testing.T, s *testServer, addr, path string) *rawConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &rawConn{Conn: conn, in: bufio.NewReader(conn)}
	c.ask(t, s, path)
	return c
}

func (c *rawConn) ask(t *testing.T, s *testServer, path string) {
	t.Helper()
	r := s.request("GET", path, "")
	if err := r.Write(c); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.resp, err = http.ReadResponse(c.in, r); err != nil {
		t.Fatal(err)
	}
}

// body reads until it has found a text, or until the end of the body.
func (c *rawConn) body(t *testing.T, until string) string {
	t.Helper()
	if until == "" {
		all, err := io.ReadAll(c.resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(all)
	}
	var got strings.Builder
	for buf := make([]byte, 1<<10); !strings.Contains(got.String(), until); {
		n, err := c.resp.Body.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(buf[:n])
	}
	return got.String()
}

// again makes another request on the connection.
func (c *rawConn) again(t *testing.T, s *testServer) {
	t.Helper()
	c.ask(t, s, "/healthz")
	if c.resp.StatusCode != http.StatusOK {
		t.Errorf("the next request on the connection: %s", c.resp.Status)
	}
}
