//go:build lockorder

package lock

import (
	"strings"
	"testing"
)

// caught returns what the checker says of f.
func caught(t *testing.T, f func()) (said string) {
	t.Helper()
	before := broken
	defer func() { broken = before }()
	broken = func(message string) { said = message }
	f()
	return said
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
		broken       string
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
			said := caught(t, func() {
				c.outer.Lock()
				c.inner.Lock()
				c.inner.(interface{ Unlock() }).Unlock()
				c.outer.(interface{ Unlock() }).Unlock()
			})
			if (said == "") != (c.broken == "") || !strings.HasPrefix(said, c.broken) {
				t.Errorf("said %q, want %q", said, c.broken)
			}
			if said != "" && !strings.Contains(said, "checked_test.go") {
				t.Errorf("%q does not tell where the outer one was taken", said)
			}
		})
	}
	for i := range held {
		if len(held[i].by) > 0 {
			t.Errorf("held still: %v", held[i].by)
		}
	}
}

// What a goroutine holds is its own; a try waits for nobody.
func TestOrderIsEachGoroutines(t *testing.T) {
	topic, topics := of(Topic), of(Topics)
	if said := caught(t, func() {
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
	}); said != "" {
		t.Error(said)
	}
}
