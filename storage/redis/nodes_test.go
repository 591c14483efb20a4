package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

// cluster is several hubs on one Redis, which can be replaced.
type cluster struct {
	t      testing.TB
	target atomic.Pointer[string] // socket of the current Redis
	hubs   []*hub.Hub
}

func startCluster(t testing.TB, nodes int, server *redistest.Server) *cluster {
	c := &cluster{t: t}
	c.moveTo(server)
	for range nodes {
		store := open(t, redis.Options{
			URL: "redis://redis.test:1", Timeout: time.Second,
			Dial: func(ctx context.Context, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", *c.target.Load())
			},
		})
		// nothing is dropped before a node has returned
		h := hub.New(hub.Options{Topics: store, Limits: hub.Limits{HistoryEvents: 100_000, HistoryBytes: 64 << 20}})
		t.Cleanup(h.Close)
		c.hubs = append(c.hubs, h)
	}
	return c
}

func (c *cluster) moveTo(server *redistest.Server) {
	path := filepath.Join(server.Dir, "s")
	c.target.Store(&path)
}

// tell publishes a number on a node, and repeats that until the node has acknowledged it.
func (c *cluster) tell(node int, publisher string, n int) {
	for {
		_, err := c.hubs[node].Publish("t", publisher, []hub.EventInput{{
			ID: strconv.Itoa(n), Event: "n",
			Payload: json.RawMessage(strconv.Itoa(n)),
		}})
		if err == nil {
			return
		}
		if !errors.Is(err, errs.ErrUnavailable) {
			c.t.Error(err)
			return
		}
		time.Sleep(5 * time.Millisecond) // pause between attempts, as a client makes
	}
}

// reading is what one reader has seen of each publisher.
type reading struct {
	t      testing.TB
	reader *hub.TopicReader
	wake   *log.Wake
	seen   map[string]int // the last number of each publisher, plus one
	resets []log.ResetReason
	epochs int
	exact  bool // nothing may be missing or duplicated
}

func (c *cluster) read(node int, from log.Position) *reading {
	c.t.Helper()
	r := &reading{t: c.t, wake: log.NewWake(), seen: make(map[string]int)}
	var reset *log.Reset
	var err error
	for {
		if r.reader, reset, err = c.hubs[node].Subscribe("t", from, r.wake); err == nil {
			break
		}
		if !errors.Is(err, errs.ErrUnavailable) {
			c.t.Fatal(err)
		}
	}
	if reset != nil {
		r.resets = append(r.resets, reset.Reason)
	}
	return r
}

// until reads until done returns true.
func (r *reading) until(done func() bool) {
	late := time.NewTimer(hubtest.Hung)
	defer late.Stop()
	epoch := r.reader.Epoch()
	for !done() {
		items, reset := r.reader.Read(nil)
		if reset != nil {
			r.resets = append(r.resets, reset.Reason)
		}
		if r.reader.Epoch() != epoch {
			epoch = r.reader.Epoch()
			r.epochs++
		}
		for i := range items {
			var e struct {
				Sender  string
				Payload int
			}
			if err := json.Unmarshal(items[i].Event.Data, &e); err != nil {
				r.t.Error(err)
			}
			if r.exact && e.Payload != r.seen[e.Sender] {
				r.t.Errorf("%s: %d, expected %d", e.Sender, e.Payload, r.seen[e.Sender])
			}
			r.seen[e.Sender] = e.Payload + 1
		}
		if len(items) == 0 && reset == nil {
			select {
			case <-r.wake.C:
			case <-late.C:
				r.t.Fatalf("nothing more comes; seen %v, resets %v", r.seen, r.resets)
			}
		}
	}
}

// TestRedisThatKeepsEverything kills a Redis with a full append-only file repeatedly under load: afterwards an old
// position is still valid.
func TestRedisThatKeepsEverything(t *testing.T) {
	server := startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	epochs := exactUnder(t, server, 8, func() {
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond) // at a random moment
		server.Kill()
		server.Start()
	})
	if epochs == 0 {
		t.Error("no reader saw that Redis may have gone back")
	}
}

// TestRedisThatHesitates stops Redis repeatedly, for less and for more than the timeout, so that commands may run
// whose answers are lost.
func TestRedisThatHesitates(t *testing.T) {
	server := startRedis(t)
	exactUnder(t, server, 4, func() {
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond) // at a random moment
		server.Signal(syscall.SIGSTOP)
		time.Sleep(time.Duration(rand.IntN(2500)) * time.Millisecond) // the timeout of a command is 1 s here
		server.Signal(syscall.SIGCONT)
	})
}

// exactUnder lets three nodes publish and read while trouble is called several times: each reader gets each
// number once and in order, and no gap. It returns how often a reader continued in another epoch.
func exactUnder(t *testing.T, server *redistest.Server, times int, trouble func()) (epochs int) {
	const publishers = 3
	c := startCluster(t, 3, server)
	var work, reads sync.WaitGroup
	var over atomic.Bool
	var told [publishers]atomic.Int64
	for p := range publishers {
		work.Go(func() {
			for n := 0; !over.Load(); n++ {
				c.tell((p+n)%len(c.hubs), fmt.Sprint("p", p), n)
				told[p].Store(int64(n + 1))
			}
		})
	}
	var readings []*reading
	for node := range c.hubs {
		r := c.read(node, log.Position{})
		r.exact = true
		defer r.reader.Close()
		readings = append(readings, r)
		reads.Go(func() { r.until(func() bool { return r.seen["end"] == 1 }) })
	}
	for range times {
		trouble()
	}
	time.Sleep(100 * time.Millisecond) // some more events follow
	over.Store(true)
	work.Wait()
	c.tell(0, "end", 0)
	reads.Wait()
	for _, r := range readings {
		for p := range told {
			if got := r.seen[fmt.Sprint("p", p)]; got != int(told[p].Load()) {
				t.Errorf("p%d: %d of %d", p, got, told[p].Load())
			}
		}
		if len(r.resets) > 0 {
			t.Errorf("resets %v", r.resets)
		}
		epochs += r.epochs
	}
	t.Log("told", told[0].Load(), told[1].Load(), told[2].Load())
	return epochs
}

// TestRedisThatKeepsNothing restarts a Redis without persistence: the topics are lost, readers are told so, and
// continue with new events.
func TestRedisThatKeepsNothing(t *testing.T) {
	server := startRedis(t)
	c := startCluster(t, 2, server)
	a, b := c.read(0, log.Position{}), c.read(1, log.Position{})
	defer a.reader.Close()
	defer b.reader.Close()
	for n := range 10 {
		c.tell(n%2, "p", n)
	}
	for _, r := range []*reading{a, b} {
		r.until(func() bool { return r.seen["p"] == 10 })
	}
	before := a.reader.Position()
	server.Kill()
	server.Start()
	for n := range 3 {
		c.tell(0, "q", n)
	}
	for _, r := range []*reading{a, b} {
		r.until(func() bool { return r.seen["q"] == 3 })
		if len(r.resets) != 1 || r.resets[0] != log.ResetEpoch {
			t.Errorf("resets: %v", r.resets)
		}
	}
	late := c.read(1, before)
	defer late.reader.Close()
	if len(late.resets) != 1 || late.resets[0] != log.ResetEpoch {
		t.Errorf("a position of before: %v", late.resets)
	}
}

// TestReplicaThatLags promotes a replica that lacks some events: readers that saw them are told of the loss, the
// others continue.
func TestReplicaThatLags(t *testing.T) {
	master := startRedis(t)
	replica := redistest.Start(t)
	c := startCluster(t, 2, master)
	replica.Follow(master)
	ahead, behind := c.read(0, log.Position{}), c.read(1, log.Position{})
	defer ahead.reader.Close()
	for n := range 10 {
		c.tell(0, "p", n)
	}
	behind.until(func() bool { return behind.seen["p"] == 10 })
	kept := behind.reader.Position()
	behind.reader.Close()
	replica.CatchUp(master)
	replica.Command("REPLICAOF", "NO", "ONE") // it does not get the master's later writes
	for n := 10; n < 15; n++ {
		c.tell(1, "p", n)
	}
	ahead.until(func() bool { return ahead.seen["p"] == 15 })
	lost := ahead.reader.Position()
	master.Kill()
	c.moveTo(replica)
	for n := range 8 { // offsets that were used before
		c.tell(n%2, "q", n)
	}
	ahead.until(func() bool { return ahead.seen["q"] == 8 })
	if len(ahead.resets) != 1 || ahead.resets[0] != log.ResetAhead {
		t.Errorf("who saw what is lost: %v", ahead.resets)
	}
	there := c.read(1, log.Position{}) // until node 1 notices the change, it shows the old master's data
	there.until(func() bool { return there.seen["q"] == 8 })
	there.reader.Close()
	exact := c.read(1, kept)
	defer exact.reader.Close()
	exact.exact = true
	exact.until(func() bool { return exact.seen["q"] == 8 })
	if len(exact.resets) != 0 || exact.seen["p"] != 0 {
		t.Errorf("who saw only what is kept: %v, %v", exact.resets, exact.seen)
	}
	gone := c.read(0, lost)
	defer gone.reader.Close()
	if len(gone.resets) != 1 || gone.resets[0] != log.ResetAhead {
		t.Errorf("a position that is lost: %v", gone.resets)
	}
}
