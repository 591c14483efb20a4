package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/redis"
)

// stumbling is a store one of whose calls fails.
type stumbling struct {
	*redis.Store
	calls atomic.Int64 // calls left until one fails; below 1: none fails
	done  bool         // the failing call is executed, and its answer is lost
}

// stumble executes a call, unless it is the one that fails.
func (s *stumbling) stumble(call func() error) error {
	fails := s.calls.Add(-1) == 0
	if fails && !s.done {
		return fmt.Errorf("not done: %w", errs.ErrUnavailable)
	}
	err := call()
	if fails {
		return fmt.Errorf("the answer is lost: %w", errs.ErrUnavailable)
	}
	return err
}

func (s *stumbling) ClaimStream(id, from string) (found *hub.SharedStream, err error) {
	err = s.stumble(func() (err error) { found, err = s.Store.ClaimStream(id, from); return err })
	return found, err
}

func (s *stumbling) FindStream(user, id string) (found *hub.SharedStream, err error) {
	err = s.stumble(func() (err error) { found, err = s.Store.FindStream(user, id); return err })
	return found, err
}

func (s *stumbling) Save(changes []hub.StreamChange) error {
	return s.stumble(func() error { return s.Store.Save(changes) })
}

// TestTakeOverSurvivesAFailure kills a node and fails one call of the node that takes its stream over, executed or
// not: the stream ends in every case, whether it is watched there, was cancelled there, or is unknown there.
func TestTakeOverSurvivesAFailure(t *testing.T) {
	for _, how := range []string{"read", "cancelled", "unknown"} {
		for _, done := range []bool{false, true} {
			for call := int64(1); call <= 3; call++ {
				t.Run(fmt.Sprintf("%s, call %d, done %t", how, call, done), func(t *testing.T) {
					t.Parallel()
					takeOverWithFailure(t, how, call, done)
				})
			}
		}
	}
}

func takeOverWithFailure(t *testing.T, how string, call int64, done bool) {
	server := address(startMini(t))
	a, b := startNode(t, server), &node{stopped: make(chan string, 9)}
	b.store = open(t, redis.Options{URL: server.URL(), Lease: lease})
	store := &stumbling{Store: b.store, done: done}
	b.Hub = hub.New(hub.Options{Streams: store, Provider: b})
	t.Cleanup(b.Close)
	s, _ := a.ask(t, "endless", hub.StreamSpec{})
	hubtest.Until(t, "the stream to be kept", func() bool {
		found, err := b.store.FindStream("", s.ID)
		return err == nil && found.Record.Tail > 0
	})
	var mirror *hub.Stream
	if how != "unknown" {
		mirror = b.find(t, s.ID)
		defer watch(t, mirror, log.Position{}).reader.Close()
	}
	store.calls.Store(call)
	a.die(t, b)
	if how == "cancelled" {
		hubtest.Until(t, "the node to be found dead", func() bool { return !b.store.Alive(a.store.Node()) })
		if mirror.Cancel("eve"); !mirror.Status().Ended() {
			t.Errorf("after it was cancelled it is %s", mirror.Status())
		}
	}
	hubtest.Until(t, "the stream to end for everybody", func() bool {
		found, err := b.store.FindStream("", s.ID)
		return err == nil && found.Record.Status.Ended() && found.Node == b.store.Node()
	})
	if mirror != nil && !mirror.Status().Ended() {
		t.Errorf("for who reads it, it is %s", mirror.Status())
	}
	if call == 1 && store.calls.Load() > 0 { // how many more there are depends on what comes first
		t.Error("no call has failed")
	}
}
