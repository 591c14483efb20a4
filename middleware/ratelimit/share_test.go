package ratelimit_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// nodes are limiters that exchange counts every second.
type nodes []*ratelimit.Limiter

func newNodes(n int, r ratelimit.Rate) (all nodes) {
	for range n {
		l := ratelimit.New("pushes", r)
		l.Share()
		all = append(all, l)
	}
	return all
}

// tell exchanges what was taken since the last call, and returns the number of keys.
func (all nodes) tell() (keys int) {
	for i, from := range all {
		for key, n := range from.Spent() {
			keys++
			for j, to := range all {
				if i != j {
					to.Count(key, n)
				}
			}
		}
	}
	return keys
}

// TestTogetherAsOne saturates three nodes for an hour: together they allow as much as one, except for the first burst,
// which each node allows.
func TestTogetherAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newNodes(3, perMinute)
		total := 0
		for range 3600 {
			for _, l := range all {
				allowed, _ := taken(l, "ada", 3)
				total += allowed
			}
			all.tell()
			time.Sleep(time.Second)
		}
		if total < 570 || total > 650 {
			t.Errorf("%d in an hour, want about 600, as on one node", total)
		}
	})
}

// TestBurstElsewhere empties a bucket on one node: the others then reject requests until it is filled again.
func TestBurstElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newNodes(2, perMinute)
		taken(all[0], "ada", 10)
		all.tell()
		if allowed, refusal := taken(all[1], "ada", 1); allowed != 0 || refusal.Retry != 6*time.Second {
			t.Fatalf("%d allowed elsewhere, %+v", allowed, refusal)
		}
		if allowed, _ := taken(all[1], "bob", 1); allowed != 1 {
			t.Fatal("another user is refused")
		}
		for range 1000 { // told again and again: the debt is bounded
			all[1].Count("ada", 10)
		}
		time.Sleep(2*time.Minute - time.Second)
		if allowed, _ := taken(all[1], "ada", 20); allowed != 10-1 && allowed != 10 {
			t.Fatalf("%d allowed after the debt is paid", allowed)
		}
	})
}

// TestLittleIsNotTold takes a little for each of many users, which is not reported.
func TestLittleIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newNodes(2, ratelimit.Rate{Limit: 100, Per: time.Minute})
		for i := range 1000 {
			_ = all[0].Take(strconv.Itoa(i), 5)
		}
		_ = all[0].Take("busy", 50)
		if keys := all.tell(); keys != 1 {
			t.Errorf("%d users are told of, want the busy one", keys)
		}
	})
}
