package clustertest

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

// TestMain allows more parallel tests than processors: tests on Redis mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(strconv.Itoa(redisHistories))
	}
	goleak.VerifyTestMain(m, redistest.Leftovers()...)
}

// redisHaste divides all durations on a real redis-server, where time is real. The lease must still exceed a pause of
// the machine of one second.
const redisHaste = 4

// redisHistories is how many histories run, all in parallel: they mostly wait.
const redisHistories = 16

// The same histories on a real redis-server, with those faults that can be injected there.
func TestHistoriesOnRedis(t *testing.T) {
	hubtest.Full(t, "redis-server")
	first := uint64(0)
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if first, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	for n := range uint64(redisHistories) {
		seed := first + n
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			p := newPlan(seed)
			faults, trace := run(p, newRedis(t), redisHaste)
			if len(faults) > 0 {
				t.Errorf("%s=%d begins with it:\n%s\n%s\n\n%s", seedVariable, seed, p,
					strings.Join(faults, "\n"), strings.Join(trace, "\n"))
			}
		})
	}
}

// onRedis implements network on a redis-server.
type onRedis struct {
	t      *testing.T
	server *redistest.Server

	turn sync.Mutex // serializes changes of the server
	away int

	mu    sync.Mutex
	lines map[string]*redistest.Line
	cuts  map[string]int
}

func newRedis(t *testing.T) *onRedis {
	return &onRedis{
		t: t, server: redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always"),
		lines: make(map[string]*redistest.Line), cuts: make(map[string]int),
	}
}

func (r *onRedis) report(func(format string, args ...any)) {}

func (r *onRedis) open(name string) store {
	line := new(redistest.Line)
	r.mu.Lock()
	r.lines[name] = line
	r.mu.Unlock()
	for {
		s, err := redis.Open(redis.Options{
			URL: r.server.URL(), Node: strings.ReplaceAll(name, ".", "_"), Lease: nodeLease / redisHaste,
			Timeout: time.Second, Dial: line.Dial, Logger: quiet,
		})
		if err == nil {
			return s
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (r *onRedis) die(name string) { r.cutting(name, 1) }

// cutting changes the number of faults that cut a connection.
func (r *onRedis) cutting(name string, by int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cuts[name] += by; r.cuts[name] > 0 {
		r.lines[name].Cut()
	} else {
		r.lines[name].Mend()
	}
}

func (r *onRedis) begin(t *trouble, name string) (end func()) {
	switch t.kind {
	case cut:
		r.cutting(name, 1)
		return func() { r.cutting(name, -1) }
	case flaky, deaf: // connections are closed now and then, with commands and messages in transit
		stop := make(chan struct{})
		var work sync.WaitGroup
		work.Go(func() {
			for {
				r.cutting(name, 1)
				r.cutting(name, -1)
				select {
				case <-time.After(200 * time.Millisecond):
				case <-stop:
					return
				}
			}
		})
		return func() { close(stop); work.Wait() }
	case slow, late, paused:
		return r.hesitate(t)
	case away, amnesia, replaced:
		r.kill()
		return func() { r.start(false) }
	case empty:
		r.kill()
		return func() { r.start(true) }
	}
	return func() {}
}

// hesitate pauses the server for short times.
func (r *onRedis) hesitate(*trouble) (end func()) {
	stop := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for {
			r.signal(syscall.SIGSTOP)
			time.Sleep(100 * time.Millisecond)
			r.signal(syscall.SIGCONT)
			select {
			case <-time.After(200 * time.Millisecond):
			case <-stop:
				return
			}
		}
	})
	return func() { close(stop); work.Wait() }
}

func (r *onRedis) signal(s os.Signal) {
	r.turn.Lock()
	defer r.turn.Unlock()
	if r.away == 0 {
		r.server.Signal(s)
	}
}

func (r *onRedis) kill() {
	r.turn.Lock()
	defer r.turn.Unlock()
	if r.away++; r.away == 1 {
		r.server.Kill()
	}
}

func (r *onRedis) start(empty bool) {
	r.turn.Lock()
	defer r.turn.Unlock()
	if empty {
		if err := os.RemoveAll(filepath.Join(r.server.Dir, "appendonlydir")); err != nil {
			r.t.Error(err)
		}
	}
	if r.away--; r.away == 0 {
		r.server.Start()
	}
}
