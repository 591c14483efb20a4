package ratelimit_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// TestUsersAndKeys: a key has buckets of its own, and acts for users with theirs as well.
func TestUsersAndKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ratelimit.NewSet(ratelimit.Limits{HeavyPerMinute: 2, KeyHeavyPerMinute: 4})
		take := func(by ratelimit.By, n int) *errs.LimitError {
			var limit *errs.LimitError
			if err := s.Take(ratelimit.Heavy, by, n); err != nil && !errors.As(err, &limit) {
				t.Fatal(err)
			}
			return limit
		}
		ada, bob := ratelimit.By{User: "ada", Key: "k"}, ratelimit.By{User: "bob", Key: "k"}
		if take(ada, 2) != nil {
			t.Error("ada is refused")
		}
		for range 10 { // costs the key nothing
			if limit := take(ada, 1); limit == nil || limit.Limit != 2 {
				t.Errorf("ada's third: %+v", limit)
			}
		}
		if take(ratelimit.By{Key: "k"}, 1) != nil || take(bob, 1) != nil {
			t.Error("what ada is refused costs the key")
		}
		for range 10 { // costs bob nothing
			if limit := take(bob, 1); limit == nil || limit.Limit != 4 {
				t.Errorf("the key's fifth: %+v", limit)
			}
		}
		if take(ratelimit.By{User: "bob"}, 1) != nil || take(ratelimit.By{User: "k"}, 1) != nil {
			t.Error("what the key is refused costs bob, or a user of the key's name")
		}
		if take(ratelimit.By{Key: "other"}, 1) != nil {
			t.Error("another key is refused")
		}
		time.Sleep(15 * time.Second)
		if take(ratelimit.By{Key: "k"}, 1) != nil {
			t.Error("the key is refused after its wait")
		}
	})
}

// TestKeyFactor: a key's other limits are a multiple of a user's, and absent where a user has none.
func TestKeyFactor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ratelimit.NewSet(ratelimit.Limits{EventsPerSecond: 1, JoinsPerMinute: 1, QueuePerSecond: -1, KeyFactor: 3})
		key := ratelimit.By{Key: "k"}
		for kind, burst := range map[ratelimit.Kind]int{ratelimit.Events: 30, ratelimit.Joins: 3} {
			if err := s.Take(kind, key, burst); err != nil {
				t.Error(err)
			}
			var limit *errs.LimitError
			if !errors.As(s.Take(kind, key, 1), &limit) || limit.Setting() != "key_factor" || limit.Limit != 3 {
				t.Errorf("kind %d: %+v", kind, limit)
			}
		}
		if err := s.Take(ratelimit.Queue, key, 1_000_000); err != nil {
			t.Error(err)
		}
	})
}

// TestNoKeyFactor: without a factor a key has no other limits, whether users have them or not.
func TestNoKeyFactor(t *testing.T) {
	s := ratelimit.NewSet(ratelimit.Limits{EventsPerSecond: 1, JoinsPerMinute: -1, QueuePerSecond: -2, KeyFactor: -1})
	for _, kind := range []ratelimit.Kind{ratelimit.Events, ratelimit.Joins, ratelimit.Queue} {
		if err := s.Take(kind, ratelimit.By{Key: "k"}, 1_000_000); err != nil {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
}

// TestKeysAreShared: nodes share all limits of users and keys but that of a session's cursors, each under its own name.
func TestKeysAreShared(t *testing.T) {
	shared := ratelimit.NewSet(ratelimit.Limits{}).Shared()
	seen := map[*ratelimit.Limiter]bool{}
	var names []string
	for name, limiter := range shared {
		if limiter == nil || seen[limiter] {
			t.Errorf("%s has no limiter, or that of another", name)
		}
		seen[limiter] = true
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{
		"events", "heavy", "joins", "key_cursors", "key_events", "key_heavy", "key_joins", "key_queue", "queue",
	}
	if !slices.Equal(names, want) {
		t.Errorf("%v", names)
	}
}

func TestOf(t *testing.T) {
	key := &rights.Identity{User: "k", Service: true}
	for want, id := range map[ratelimit.By]*rights.Identity{
		{User: "ada"}:                  {User: "ada"},
		{Key: "k"}:                     key,
		{User: "ada", Key: "k"}:        {User: "ada", Actor: key},
		{User: "ada", Key: "user:svc"}: {User: "ada", Actor: &rights.Identity{User: "svc"}},
	} {
		if got := ratelimit.Of(id); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
