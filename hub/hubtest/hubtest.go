// Package hubtest has what the tests of all packages share: waiting that does not depend on the speed of the machine,
// a mark for tests that the quick run skips, servers with a synthetic clock, and processes that end with their tests.
// It imports no other package of the project.
package hubtest

import (
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// Hung is how long a test waits before it fails as hanging. It is far longer than a busy machine needs, so no test
// depends on timing.
const Hung = 2 * time.Minute

// Until waits until done returns true. It polls every 2 ms on the test's goroutine, and fails the test after Hung.
// what names the condition in the failure, such as "the reader to be gone".
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(Hung); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			hangs(t, what)
		}
	}
}

// Recv returns the next value of a channel. It fails the test after Hung, or when the channel is closed.
func Recv[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-from:
		if !ok {
			t.Fatalf("the channel was closed before %s", what)
		}
		return v
	case <-time.After(Hung):
		hangs(t, what)
	}
	panic("unreachable")
}

// hangs fails a test that has waited Hung for what. It logs what all goroutines are doing.
func hangs(t testing.TB, what string) {
	t.Helper()
	var stacks strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1) // equal stacks once, with their number
	t.Logf("the goroutines:\n%s", stacks.String())
	t.Fatalf("it hangs: %v were not enough for %s", Hung, what)
}

// Full skips a test in the quick run (go test -short, make test), and says what the test needs, such as "redis-server"
// or "a browser". make test-all runs it.
func Full(t testing.TB, needs string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("make test-all runs this: it needs %s", needs)
	}
}
