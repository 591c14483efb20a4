package redis_test

import (
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/redis"
)

// TestLeaseValid checks that a node that is cut off considers its lease expired before Redis does.
func TestLeaseValid(t *testing.T) {
	server := startRedis(t)
	const lease = 4 * time.Second
	n, other := &node{}, open(t, redis.Options{URL: server.URL()})
	n.store = open(t, redis.Options{URL: server.URL(), Lease: lease, Dial: n.line.Dial})
	if n.store.LeaseValid() {
		t.Error("it holds before it was asked for")
	}
	defer n.store.Serve(hub.NodeEvents{Died: nobodyDied(t), Lost: func() {}, Missed: func() {}})()
	if !n.store.LeaseValid() {
		t.Error("it does not hold")
	}
	n.line.Cut()
	hubtest.Until(t, "the lease to run out", func() bool {
		leased, err := other.Leased(n.store.Node()) // first, because the lease may expire between the two
		if err != nil {
			t.Fatal(err)
		}
		valid := n.store.LeaseValid()
		if valid && !leased {
			t.Fatal("the node says that its lease holds, and Redis has it no more")
		}
		return !valid && !leased
	})
	n.line.Mend()
	hubtest.Until(t, "the lease to hold again", n.store.LeaseValid)
}

func TestLeaseHolds(t *testing.T) {
	now := time.Now()
	for _, one := range []struct {
		requested time.Time
		holds     bool
	}{
		{now, true},
		{now.Add(-8 * time.Second), true},
		{now.Add(-9 * time.Second), false},
		{now.Add(-time.Hour), false},
		{now.Add(time.Second).Round(0), true},       // the clock was set back
		{now.Add(-9 * time.Second).Round(0), false}, // only the wall clock says so
	} {
		if got := redis.Holds(one.requested, now, 10*time.Second); got != one.holds {
			t.Errorf("asked for at %v, at %v: %t", one.requested, now, got)
		}
	}
}

// TestRestartedEmptyNobodyIsDead restarts Redis without its data. One node returns at once, the other after some
// beats: it is not declared dead meanwhile, and its stream goes on.
func TestRestartedEmptyNobodyIsDead(t *testing.T) {
	server := startRedis(t)
	a, b := startNode(t, server), startNode(t, server)
	s, _ := a.ask(t, "endless", hub.StreamSpec{})
	r := watch(t, b.find(t, s.ID), log.Position{})
	r.until(func() bool { return len(r.text) > 100 })
	b.store.EndGrace() // it has been running for long
	a.beat(t, 1)
	b.beat(t, 1)
	a.line.Cut()
	server.Kill()
	server.Start()
	b.beat(t, 3)
	if !b.store.Alive(a.store.Node()) {
		t.Error("a node that has not had the time to come back is found dead")
	}
	if st := r.stream.Status(); st != hub.StatusRunning {
		t.Errorf("its stream is %s", st)
	}
	a.line.Mend()
	a.beat(t, 1)
	more := len(r.text) + 5000
	r.until(func() bool { return len(r.text) > more || r.ended })
	if st := s.Status(); r.ended || len(r.resets) > 0 || st != hub.StatusRunning {
		t.Errorf("ended: %t, resets %v; on its own node it is %s", r.ended, r.resets, st)
	}
	s.Cancel("test")
}

// TestForgottenBetweenBeats deletes all data between two beats: a node that was not known before is not declared dead.
func TestForgottenBetweenBeats(t *testing.T) {
	server := address(startMini(t))
	a := startNode(t, server)
	a.store.EndGrace()
	if a.store.Alive("somebody") {
		t.Error("a node that there never was is alive")
	}
	if err := a.store.Forget(); err != nil {
		t.Fatal(err)
	}
	if !a.store.Alive("somebody") {
		t.Error("what Redis has forgotten counts as dead")
	}
}

// TestRestartedEmptyAndDead checks that a node that does not return after a restart of Redis is declared dead in the
// end.
func TestRestartedEmptyAndDead(t *testing.T) {
	server := startRedis(t)
	const lease = 4 * time.Second
	o := redis.Options{URL: server.URL(), Lease: lease}
	a, b := open(t, o), open(t, o)
	deaths := make(chan string, 9)
	died := func(node string, _ []string) bool { deaths <- node; return true }
	defer b.Serve(hub.NodeEvents{Died: died, Lost: func() {}, Missed: func() {}})()
	stop := a.Serve(hub.NodeEvents{})
	for begun := b.LastBeat(); b.LastBeat() == begun; time.Sleep(lease / 40) { // it has seen the other node
	}
	server.Kill()
	stop()
	server.Start()
	if node := hubtest.Recv(t, "the node to be found dead", deaths); node != a.Node() {
		t.Error(node)
	}
}
