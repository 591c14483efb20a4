package hubtest_test

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// spy is a test that notes how it ends.
type spy struct {
	testing.TB
	said string
}

func (s *spy) Helper() {}

func (s *spy) Fatalf(format string, args ...any) {
	s.said = strings.TrimSpace(format)
	runtime.Goexit()
}

// ending returns what a test says that waits for something in vain.
func ending(wait func(testing.TB)) string {
	s := &spy{}
	over := make(chan struct{})
	go func() {
		defer close(over)
		wait(s)
	}()
	<-over
	return s.said
}

func TestWaitsEnd(t *testing.T) {
	waits := map[string]func(testing.TB){
		"Until": func(tb testing.TB) { hubtest.Until(tb, "nothing", func() bool { return false }) },
		"Recv":  func(tb testing.TB) { hubtest.Recv(tb, "nothing", make(chan int)) },
	}
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if said := ending(wait); !strings.Contains(said, "hangs") {
					t.Errorf("it said %q", said)
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
