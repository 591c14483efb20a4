// Package hubtest has what the tests of all packages share: a way to wait that does not depend on how fast the machine is, and
// the mark of tests that the quick run leaves out, servers on a clock of their own, and processes that end with their tests. It
// imports nothing of the project.
package hubtest

import (
	"testing"
	"time"
)

// Hung is how long a test waits for something before it says that it hangs. No test passes or fails by how long things take:
// this is far more than a busy machine needs.
const Hung = 2 * time.Minute

// Until waits until done returns true. It asks every 2 ms, from the goroutine of the test, and ends the test after Hung. What is
// waited for is named by what, such as "the reader to be gone".
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(Hung); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it hangs: %v were not enough for %s", Hung, what)
		}
	}
}

// Recv returns the next value of a channel. It ends the test after Hung, or when the channel is closed.
func Recv[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-from:
		if !ok {
			t.Fatalf("the channel was closed before %s", what)
		}
		return v
	case <-time.After(Hung):
		t.Fatalf("it hangs: %v were not enough for %s", Hung, what)
	}
	panic("unreachable")
}

// Full leaves a test out of the quick run (go test -short, make test), and says what the test needs, such as "redis-server" or
// "a browser". make test-all runs it.
func Full(t testing.TB, needs string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("make test-all runs this: it needs %s", needs)
	}
}
