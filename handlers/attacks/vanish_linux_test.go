package attacks_test

import (
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestVanishedClients: a client that is present on an event stream, and vanishes without a word, is missed by the
// others soon.
func TestVanishedClients(t *testing.T) {
	t.Parallel()
	s := start(t, "WRITE_TIMEOUT=1s", "PRESENCE_GRACE=0s", "HEARTBEAT=1s")
	ada := bearer(t, "ada")
	present := func() bool {
		return strings.Contains(s.want(200, "GET", "/v1/topics/room/presence", "", bearer(t, "bob")), `"ada"`)
	}
	for name, request := range map[string]string{
		"event stream": "GET /v1/topics/room/events?presence={} HTTP/1.1\r\nHost: x\r\n%s\r\n" +
			"Accept: text/event-stream\r\n\r\n",
		"several topics": "GET /v1/events?topic=room&topic=other&presence={} HTTP/1.1\r\nHost: x\r\n%s\r\n" +
			"Accept: text/event-stream\r\n\r\n",
	} {
		conn := s.dial()
		send(t, conn, request, ada)
		hubtest.Until(t, "ada to be present on an "+name, present)
		hubtest.Vanish(t, conn)
		hubtest.Until(t, "ada to be missed on an "+name, func() bool { return !present() })
	}
}
