package redis_test

import (
	"fmt"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

// names are the messages from first up to last.
func names(first, last int) (list []string) {
	for n := first; n <= last; n++ {
		list = append(list, fmt.Sprint("m", n))
	}
	return list
}

// TestSettings shows what the README's table of "Several nodes" says: what a message that was taken is worth with each way in which Redis may keep
// it, at a kill of Redis and at a loss of power. Ten messages are taken, time passes, and ten more; what is left is told to who reads from the
// beginning; and who has read what is lost is told again what waits, and then what comes.
func TestSettings(t *testing.T) {
	hubtest.Full(t, "redis-server")
	power := func(s redistest.Powered) func(t *testing.T) {
		return func(t *testing.T) { t.Logf("%d bytes were not durable", s.LosePower()); s.Start() }
	}
	kill := func(s *redistest.Server) func(t *testing.T) {
		return func(*testing.T) { s.Kill(); s.Start() }
	}
	for name, one := range map[string]func(t *testing.T) (server *redistest.Server, pass func(), fail func(t *testing.T), left []string){
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
			if len(left) < len(all) { // its place is no more, so it is told again what waits
				all = append(all, left...)
			}
			there.until(append(all, "next")...)
		})
	}
}
