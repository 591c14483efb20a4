//go:build lockorder

package lock

import (
	"strings"
	"testing"
)

// violation returns the checker's message about what f does, or "".
func violation(t *testing.T, f func()) (message string) {
	t.Helper()
	before := fail
	defer func() { fail = before }()
	fail = func(m string) { message = m }
	f()
	return message
}

func of(c Class) *Mutex {
	m := new(Mutex)
	m.SetClass(c)
	return m
}

func TestOrderIsChecked(t *testing.T) {
	var readers RWMutex
	readers.SetClass(Topics)
	for name, c := range map[string]struct {
		outer, inner interface{ Lock() }
		want         string
	}{
		"in order":                   {of(Topics), of(Topic), ""},
		"a leaf under a class":       {of(Stream), new(Mutex), ""},
		"out of order":               {of(Topic), of(Topics), "Topics is taken while Topic is held"},
		"out of order, for readers":  {of(PresenceTable), &readers, "Topics is taken while PresenceTable is held"},
		"two of one class":           {of(Stream), of(Stream), "Stream is taken while Stream is held"},
		"a class under a leaf":       {new(Mutex), of(Stream), "Stream is taken while leaf is held"},
		"a leaf under a leaf":        {new(Mutex), new(Mutex), "leaf is taken while leaf is held"},
		"in order, behind a reader":  {&readers, of(Topic), ""},
		"the last class, as a whole": {of(afterAll - 1), new(RWMutex), ""},
	} {
		t.Run(name, func(t *testing.T) {
			message := violation(t, func() {
				c.outer.Lock()
				c.inner.Lock()
				c.inner.(interface{ Unlock() }).Unlock()
				c.outer.(interface{ Unlock() }).Unlock()
			})
			if (message == "") != (c.want == "") || !strings.HasPrefix(message, c.want) {
				t.Errorf("got %q, want %q", message, c.want)
			}
			if message != "" && !strings.Contains(message, "checked_test.go") {
				t.Errorf("%q does not tell where the outer one was taken", message)
			}
		})
	}
	for i := range shards {
		if len(shards[i].held) > 0 {
			t.Errorf("held still: %v", shards[i].held)
		}
	}
}

// Mutexes that another goroutine holds do not matter, and TryLock is allowed in any order.
func TestOrderIsEachGoroutines(t *testing.T) {
	topic, topics := of(Topic), of(Topics)
	if message := violation(t, func() {
		topic.Lock()
		defer topic.Unlock()
		done := make(chan struct{})
		go func() {
			defer close(done)
			topics.Lock()
			topics.Unlock()
		}()
		<-done
		if topics.TryLock() {
			topics.Unlock()
		}
	}); message != "" {
		t.Error(message)
	}
}
