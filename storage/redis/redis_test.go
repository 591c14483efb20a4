package redis_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

// TestMain runs more tests in parallel than there are processors, because they mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("8")
	}
	goleak.VerifyTestMain(m, redistest.Leftovers()...)
}

// startMini starts a miniredis and returns its URL.
func startMini(t testing.TB) string { return "redis://" + miniredis.RunT(t).Addr() }

var nodes atomic.Int64

// open opens a node's store, and closes it at the end of the test.
func open(t testing.TB, o redis.Options) *redis.Store {
	t.Helper()
	if o.Node == "" {
		o.Node = fmt.Sprintf("n%d", nodes.Add(1))
	}
	if o.Timeout == 0 {
		o.Timeout = hubtest.Hung // on a busy machine nothing must count as unreachable
	}
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := redis.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// startRedis starts a redis-server for a test that runs beside others.
func startRedis(t *testing.T, args ...string) *redistest.Server {
	t.Helper()
	hubtest.Full(t, "redis-server")
	t.Parallel()
	return redistest.Start(t, args...)
}

// backends runs a test on miniredis, which is fast, and on a real server.
func backends(t *testing.T, test func(t *testing.T, url string)) {
	t.Parallel()
	t.Run("miniredis", func(t *testing.T) { test(t, startMini(t)) })
	t.Run("redis-server", func(t *testing.T) { test(t, startRedis(t).URL()) })
}

// TestFollow receives what others publish, also after the connection was lost.
func TestFollow(t *testing.T) {
	backends(t, func(t *testing.T, url string) {
		s := open(t, redis.Options{URL: url})
		heard, gaps := make(chan string, 100), make(chan struct{}, 100)
		stop := s.Follow("dw:test", func(m string) { heard <- m }, func() { gaps <- struct{}{} })
		<-gaps
		s.Publish("dw:test", "one")
		if m := <-heard; m != "one" {
			t.Fatal(m)
		}
		second := s.Follow("dw:test", func(m string) { heard <- "2" + m }, func() { gaps <- struct{}{} })
		<-gaps
		s.Publish("dw:test", "two")
		if a, b := <-heard, <-heard; a+b != "two2two" {
			t.Fatal(a, b)
		}
		stop()
		s.Publish("dw:test", "three")
		if m := <-heard; m != "2three" {
			t.Fatal(m)
		}
		second()
	})
}

// TestFollowAgainAtOnce follows a channel that was just left: gap is called each time.
func TestFollowAgainAtOnce(t *testing.T) {
	backends(t, func(t *testing.T, url string) {
		s := open(t, redis.Options{URL: url})
		for range 100 {
			gaps := make(chan struct{}, 9)
			stop := s.Follow("dw:test", func(string) {}, func() { gaps <- struct{}{} })
			hubtest.Recv(t, "the subscription to stand", gaps)
			stop() // the next follower comes at once
		}
	})
}

// TestFollowBeside adds a second follower to a channel: its gap is called as well, and both get the messages.
func TestFollowBeside(t *testing.T) {
	s := open(t, redis.Options{URL: startMini(t)})
	for range 100 {
		heard, gaps := make(chan string, 9), make(chan struct{}, 9)
		hear, gap := func(m string) { heard <- m }, func() { gaps <- struct{}{} }
		first := s.Follow("dw:test", hear, gap)
		hubtest.Recv(t, "the first one's subscription", gaps)
		second := s.Follow("dw:test", hear, gap)
		first()
		hubtest.Recv(t, "the second one's subscription", gaps)
		if err := s.Publish("dw:test", "one"); err != nil {
			t.Fatal(err)
		}
		hubtest.Recv(t, "what is published", heard)
		second()
	}
}

// TestFollowComesBack kills the server under a subscription.
func TestFollowComesBack(t *testing.T) {
	server := startRedis(t)
	s := open(t, redis.Options{URL: server.URL()})
	heard, gaps := make(chan string, 100), make(chan struct{}, 100)
	defer s.Follow("dw:test", func(m string) { heard <- m }, func() { gaps <- struct{}{} })()
	<-gaps
	for n := range 3 {
		server.Kill()
		server.Start()
		<-gaps
		want := fmt.Sprint("after ", n)
		for {
			if s.Publish("dw:test", want) == nil {
				break
			}
		}
		for m := range heard {
			if m == want {
				break
			}
		}
	}
}

// TestFollowOfTheDeaf checks that a server that accepts the connection and answers nothing counts as lost.
func TestFollowOfTheDeaf(t *testing.T) {
	server := startRedis(t)
	var deaf atomic.Bool
	var dials atomic.Int64
	s := open(t, redis.Options{
		URL: server.URL(), Timeout: 3 * time.Second,
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			dials.Add(1)
			conn, err := new(net.Dialer).DialContext(ctx, "unix", address)
			return &muffled{Conn: conn, deaf: &deaf}, err
		},
	})
	gaps := make(chan struct{}, 100)
	defer s.Follow("dw:test", func(string) {}, func() { gaps <- struct{}{} })()
	<-gaps
	deaf.Store(true)
	before := dials.Load()
	hubtest.Until(t, "the store to connect again", func() bool { return dials.Load() > before })
	deaf.Store(false)
	<-gaps
}

// muffled drops what is written to it while deaf is set.
type muffled struct {
	net.Conn
	deaf *atomic.Bool
}

func (m *muffled) Write(b []byte) (int, error) {
	if m.deaf.Load() {
		return len(b), nil
	}
	return m.Conn.Write(b)
}
