package hubtest_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// spy is a testing.TB that records how the test ends.
type spy struct {
	testing.TB
	said, logged string
}

func (s *spy) Helper() {}

func (s *spy) Logf(format string, args ...any) { s.logged += fmt.Sprintf(format, args...) }

func (s *spy) Fatalf(format string, args ...any) {
	s.said = strings.TrimSpace(format)
	runtime.Goexit()
}

// ending returns the failure of a test that waits in vain, and its log.
func ending(wait func(testing.TB)) (said, logged string) {
	s := &spy{}
	over := make(chan struct{})
	go func() {
		defer close(over)
		wait(s)
	}()
	<-over
	return s.said, s.logged
}

func TestWaitsEnd(t *testing.T) {
	waits := map[string]func(testing.TB){
		"Until": func(tb testing.TB) { hubtest.Until(tb, "nothing", func() bool { return false }) },
		"Recv":  func(tb testing.TB) { hubtest.Recv(tb, "nothing", make(chan int)) },
	}
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				said, logged := ending(wait)
				if !strings.Contains(said, "hangs") || !strings.Contains(logged, "hubtest_test.ending") {
					t.Errorf("it said %q, and logged %q", said, logged)
				}
			})
		})
	}
}

func TestUntilAsksAgain(t *testing.T) {
	asked := 0
	hubtest.Until(t, "the third time", func() bool { asked++; return asked == 3 })
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
}

// TestServer checks that a server behaves the same with a synthetic clock as on a port.
func TestServer(t *testing.T) {
	ask := func(t *testing.T) {
		s := hubtest.Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.RemoteAddr)
		}))
		s.Start()
		defer s.Close()
		client := &http.Client{Transport: hubtest.Transport(s)}
		defer client.CloseIdleConnections()
		resp, err := client.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); !strings.HasPrefix(string(body), "127.0.0.1:") {
			t.Errorf("it was asked from %q", body)
		}
	}
	t.Run("on a port", ask)
	t.Run("on its own clock", func(t *testing.T) {
		hubtest.OwnClock(t, func(t *testing.T) {
			ask(t)
			begun := time.Now()
			time.Sleep(time.Hour)
			if slept := time.Since(begun); slept != time.Hour {
				t.Errorf("slept for %v", slept)
			}
		})
	})
}
