package handlers_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestFailuresOverHTTP10: an HTTP/1.0 client, such as nginx in its default configuration, sees that the body of a text
// stream that failed is not complete, and that of a successful one is. The format's own end tells it elsewhere.
func TestFailuresOverHTTP10(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	read := func(path string) (string, error) {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(hubtest.Hung))
		fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nAuthorization: Bearer %s\r\n\r\n", path, token(t, "u", "*=*"))
		answer, err := io.ReadAll(conn)
		return string(answer), err
	}
	for _, status := range []string{"done", "failed"} {
		call[streamJSON](s, http.StatusCreated, "POST", "/v1/streams", fmt.Sprintf(`{"id":%q,"kind":"x"}`, status))
		s.do("POST", "/v1/streams/"+status+"/append",
			fmt.Sprintf("{\"text\":\"some text\"}\n{\"event\":\"end\",\"status\":%q}\n", status),
			"Content-Type: application/x-ndjson").Body.Close()
		answer, err := read("/v1/streams/" + status + "?format=text")
		if !strings.HasSuffix(answer, "some text") || errors.Is(err, syscall.ECONNRESET) != (status == "failed") {
			t.Errorf("%s as text: %v after %q", status, err, answer)
		}
		for _, format := range []string{"sse", "ndjson", "json"} {
			answer, err := read("/v1/streams/" + status + "?format=" + format)
			if err != nil || !strings.Contains(answer, status) {
				t.Errorf("%s as %s: %v after %q", status, format, err, answer)
			}
		}
	}
}
