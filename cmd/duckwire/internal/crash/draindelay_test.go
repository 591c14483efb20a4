package crash_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestDrainDelay: a server that is told to stop serves on, on new connections too, while /readyz says 503. The delay
// ends by itself, or at a second signal; then the server drains as ever.
func TestDrainDelay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, delay string
		again       bool
	}{{"over", "2s", false}, {"cut short", "10m", true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, "DUCKWIRE_DRAIN_DELAY="+c.delay)
			s.start()
			reader := s.client("ada")
			opened, ended := make(chan struct{}), make(chan struct{})
			f := &farewells{t: t, retry: map[string]int{}}
			go func() {
				defer close(ended)
				f.readEvents(t.Context(), reader, func() { close(opened) })
			}()
			<-opened
			_ = s.cmd.Process.Signal(syscall.SIGTERM)
			hubtest.Until(t, "the server to be no longer ready", func() bool {
				status, _ := s.client("ada").call("GET", "/readyz", "", nil)
				return status == http.StatusServiceUnavailable
			})
			if c.again { // there is time enough to look
				status, answer := s.client("bob").call("POST", "/v1/topics/room/events", `{"event":"late"}`, nil)
				if status != http.StatusOK {
					t.Errorf("an event within the delay: %d %s", status, answer)
				}
				_ = s.cmd.Process.Signal(syscall.SIGTERM)
			}
			s.wait()
			<-ended // readEvents wants a bye
			for _, line := range []string{`"msg":"leaving"`, `"msg":"stopped"`} {
				if !strings.Contains(s.log.String(), line) {
					t.Errorf("no %s in the log:\n%s", line, s.log)
				}
			}
		})
	}
}
