package ratelimit_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// perMinute is ten a minute: one in six seconds.
var perMinute = ratelimit.Rate{Limit: 10, Per: time.Minute}

// taken takes one token n times, and returns how often that succeeded and the last error.
func taken(l *ratelimit.Limiter, key string, n int) (allowed int, refusal *errs.LimitError) {
	for range n {
		if err := l.Take(key, 1); err == nil {
			allowed++
		} else if !errors.As(err, &refusal) {
			panic(err)
		}
	}
	return allowed, refusal
}

func TestBurstThenRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New("pushes (pushes_per_minute)", perMinute)
		allowed, refusal := taken(l, "ada", 30)
		if allowed != 10 || refusal == nil {
			t.Fatalf("at once: %d of 30, want the burst of 10", allowed)
		}
		if !errors.Is(refusal, errs.ErrLimited) || refusal.Limit != 10 ||
			refusal.Name != "pushes (pushes_per_minute)" || refusal.Retry != 6*time.Second {
			t.Fatalf("refusal: %+v", refusal)
		}
		time.Sleep(refusal.Retry - time.Millisecond)
		if allowed, _ := taken(l, "ada", 1); allowed != 0 {
			t.Fatal("allowed before the wait that was told was over")
		}
		time.Sleep(time.Millisecond)
		if allowed, _ := taken(l, "ada", 5); allowed != 1 {
			t.Fatalf("after the wait: %d, want 1", allowed)
		}
		time.Sleep(10 * time.Minute)
		if allowed, _ := taken(l, "ada", 30); allowed != 10 {
			t.Fatalf("after a long rest: %d, want no more than the burst", allowed)
		}
	})
}

func TestKeysAreApart(t *testing.T) {
	l := ratelimit.New("pushes", perMinute)
	taken(l, "ada", 30)
	if allowed, _ := taken(l, "bob", 1); allowed != 1 {
		t.Fatal("one user's burst is another's refusal")
	}
}

func TestMoreThanABucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New("events", ratelimit.Rate{Limit: 10, Per: time.Second, Burst: 10})
		if err := l.Take("ada", 25); err != nil {
			t.Fatalf("a batch that is larger than the bucket could never be sent: %v", err)
		}
		var refusal *errs.LimitError
		if err := l.Take("ada", 1); !errors.As(err, &refusal) || refusal.Retry != 1600*time.Millisecond {
			t.Fatalf("after it: %v, want a wait of 1.6 s", err)
		}
		time.Sleep(1600 * time.Millisecond)
		if err := l.Take("ada", 1); err != nil {
			t.Fatal(err)
		}
		if err := l.Take("ada", 25); err == nil {
			t.Fatal("a large batch was taken from a bucket that was not full")
		}
	})
}

func TestNoLimit(t *testing.T) {
	for _, r := range []ratelimit.Rate{{}, {Limit: -1, Per: time.Second}} {
		l := ratelimit.New("events", r)
		if allowed, _ := taken(l, "ada", 1000); allowed != 1000 {
			t.Fatalf("%+v allowed %d of 1000", r, allowed)
		}
	}
}

func TestFullBucketsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New("pushes", perMinute)
		for i := range 100_000 {
			_ = l.Take(strconv.Itoa(i), 1)
			if i%1000 == 0 {
				time.Sleep(6 * time.Second) // the thousand before are full again
			}
		}
		if n := l.Len(); n > 20_000 {
			t.Fatalf("%d buckets are kept of 100,000 keys, of which 1,000 were not full at a time", n)
		}
	})
}

func TestBucketsAreBounded(t *testing.T) {
	l := ratelimit.New("pushes", ratelimit.Rate{Limit: 1, Per: time.Hour})
	for i := range 1_300_000 {
		_ = l.Take(strconv.Itoa(i), 1)
	}
	if n := l.Len(); n > 1<<20 {
		t.Fatalf("%d buckets are kept", n)
	}
	if allowed, _ := taken(l, "1299999", 1); allowed != 0 {
		t.Fatal("the newest bucket was thrown away")
	}
}

func TestConcurrentTakers(t *testing.T) {
	l := ratelimit.New("pushes", ratelimit.Rate{Limit: 100, Per: time.Hour})
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			n, _ := taken(l, "ada", 50)
			allowed.Add(int64(n))
		})
	}
	wg.Wait()
	if n := allowed.Load(); n != 100 {
		t.Fatalf("%d of 400 were allowed, want 100", n)
	}
}

// BenchmarkTake measures the cost of a push.
func BenchmarkTake(b *testing.B) {
	for _, users := range []int{1, 100_000} {
		b.Run(fmt.Sprint("users=", users), func(b *testing.B) {
			l := ratelimit.New("events", ratelimit.Rate{Limit: 1_000_000_000, Per: time.Second})
			keys := make([]string, users)
			for i := range keys {
				keys[i] = "user-" + strconv.Itoa(i)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if err := l.Take(keys[i], 1); err != nil {
					b.Fatal(err)
				}
				if i++; i == users {
					i = 0
				}
			}
		})
	}
}

// BenchmarkTakeParallel measures concurrent pushes of many users.
func BenchmarkTakeParallel(b *testing.B) {
	l := ratelimit.New("events", ratelimit.Rate{Limit: 1_000_000_000, Per: time.Second})
	var next atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		key := "user-" + strconv.FormatInt(next.Add(1), 10)
		for pb.Next() {
			if err := l.Take(key, 1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
