package attacks_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"
)

// TestCompressedRequests: a body that would be 256 MiB is refused, whatever its coding is called.
func TestCompressedRequests(t *testing.T) {
	s := start(t)
	ada := bearer(t, "ada")
	var member bytes.Buffer
	w := gzip.NewWriter(&member)
	_, _ = w.Write(make([]byte, 1<<20)) // a buffer accepts everything
	_ = w.Close()
	packed := strings.Repeat(member.String(), 256) // a gzip file may have many members (RFC 1952 §2.2)
	for _, coding := range []string{"gzip", "x-gzip", "deflate", "br", "zstd", "gzip, gzip"} {
		for _, path := range []string{"/v1/topics/t/events", "/v1/completions", "/v1/users/ada/messages"} {
			status, answer, _ := s.do("POST", path, packed, ada, "Content-Encoding: "+coding)
			if status != 400 && status != 413 && status != 415 {
				t.Errorf("%s, %s: %d %.200s", path, coding, status, answer)
			}
		}
	}
	s.want(200, "GET", "/healthz", "")
}

// TestCompressedFrames: the server does not negotiate compression for a WebSocket, and a compressed frame ends the
// connection that sent it.
func TestCompressedFrames(t *testing.T) {
	s := start(t)
	other := s.socket(token(t, "bob", "*=*"), "t")
	c := s.dial()
	send(t, c, "GET /socket/websocket?vsn=2.0.0&token=%s HTTP/1.1\r\nHost: %s\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n"+
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
		token(t, "ada", "*=*"), s.addr())
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Sec-WebSocket-Extensions"); resp.StatusCode != 101 || got != "" {
		t.Fatalf("%s, extensions %q", resp.Status, got)
	}
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, 9) // 9 is a valid level
	_, _ = w.Write(make([]byte, 1<<20))
	_ = w.Flush()
	payload := packed.Bytes()
	// a final text frame with RSV1 set, which says that it is compressed; it is masked with zeros (RFC 6455 §5.2)
	frame := []byte{0x80 | 0x40 | 1, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload)), 0, 0, 0, 0}
	frame = append(frame, payload...)
	if _, err := c.Write(frame); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 4)
	if _, err := in.Read(head); err != nil || head[0] != 0x88 {
		t.Errorf("after a compressed frame: %x, %v; want a close", head, err)
	}
	reply := push(t, other, `["1","2","t","say",{}]`)
	if !strings.Contains(reply, "say") && !strings.Contains(reply, `"ok"`) {
		t.Errorf("the other socket: %s", reply)
	}
}
