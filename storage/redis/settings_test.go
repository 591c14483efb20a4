package redis_test

import (
	"fmt"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

// names returns the messages from first to last.
func names(first, last int) (list []string) {
	for n := first; n <= last; n++ {
		list = append(list, fmt.Sprint("m", n))
	}
	return list
}

// TestSettings proves the table of Redis settings in the documentation: which acknowledged messages survive a kill of
// Redis and a power loss, for each persistence setting. It acknowledges ten messages, waits, and acknowledges ten
// more. What is left is delivered to a new reader; a reader that has read lost messages gets the waiting messages
// again, and then new ones.
func TestSettings(t *testing.T) {
	hubtest.Full(t, "redis-server")
	power := func(s redistest.Powered) func(t *testing.T) {
		return func(t *testing.T) { t.Logf("%d bytes were not durable", s.LosePower()); s.Start() }
	}
	kill := func(s *redistest.Server) func(t *testing.T) {
		return func(*testing.T) { s.Kill(); s.Start() }
	}
	type setting func(t *testing.T) (server *redistest.Server, pass func(), fail func(t *testing.T), left []string)
	for name, one := range map[string]setting{
		"appendfsync always, power": func(t *testing.T) (*redistest.Server, func(), func(*testing.T), []string) {
			s := redistest.StartPowered(t, "always")
			return s.Server, func() {}, power(s), names(1, 20)
		},
		"appendfsync everysec, power": func(t *testing.T) (*redistest.Server, func(), func(*testing.T), []string) {
			s := redistest.StartPowered(t, "everysec")
			return s.Server, func() { s.Settle(); s.Hold() }, power(s), names(1, 10)
		},
		"appendfsync everysec, kill": func(t *testing.T) (*redistest.Server, func(), func(*testing.T), []string) {
			s := redistest.StartPowered(t, "everysec")
			return s.Server, s.Settle, kill(s.Server), names(1, 20)
		},
		"no file, kill": func(t *testing.T) (*redistest.Server, func(), func(*testing.T), []string) {
			s := redistest.Start(t)
			return s, func() {}, kill(s), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, pass, fail, left := one(t)
			a, b := startNode(t, server), startNode(t, server)
			for _, name := range names(1, 10) {
				leave(t, a, name)
			}
			pass()
			for _, name := range names(11, 20) {
				leave(t, b, name)
			}
			there := readQueue(t, b)
			there.until(names(1, 20)...)

			fail(t)
			leave(t, a, "next")
			readQueue(t, a).until(append(left, "next")...)
			all := names(1, 20)
			if len(left) < len(all) { // its position is lost, so the waiting messages are delivered again
				all = append(all, left...)
			}
			there.until(append(all, "next")...)
		})
	}
}
