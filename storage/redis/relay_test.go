package redis_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/redis"
)

// relaying is two stores, one of which sends requests to the other.
type relaying struct {
	a, b   *redis.Store
	missed atomic.Int64 // how often one of them lost its connection
}

func startRelaying(t *testing.T, url string, o redis.Options, answer func(request []byte) []byte) *relaying {
	r := &relaying{}
	o.URL = url
	r.a, r.b = open(t, o), open(t, o)
	for _, s := range []*redis.Store{r.a, r.b} {
		t.Cleanup(s.Serve(hub.NodeEvents{
			Answer: func(_ string, request []byte) []byte { return answer(request) },
			Missed: func() { r.missed.Add(1) }, Lost: func() {}, Died: nobodyDied(t),
		}))
	}
	return r
}

// idle waits until nothing is in transit.
func (r *relaying) idle(t *testing.T) {
	t.Helper()
	hubtest.Until(t, "nothing to be under way", func() bool { return r.a.UnderWay() == 0 && r.b.UnderWay() == 0 })
}

// TestLongBodies sends long bodies between nodes in both directions.
func TestLongBodies(t *testing.T) {
	backends(t, func(t *testing.T, url string) {
		r := startRelaying(t, url, redis.Options{}, func(request []byte) []byte { return append(request, '.') })
		const short, piece = redis.ShortBytes, redis.PieceBytes
		for _, size := range []int{0, 1, short, short + 1, piece, piece + 1, 3*piece - 1, 8 << 20} {
			body := bytes.Repeat([]byte("0123456789\x00\xff\n"), size/13+1)[:size]
			answer, err := r.a.Ask(t.Context(), r.b.Node(), body)
			if err != nil || !bytes.Equal(answer, append(body, '.')) {
				t.Errorf("%d bytes: %d came back, %v", size, len(answer), err)
			}
		}
		r.idle(t)
	})
}

// TestManyLongBodies sends many long bodies at once: each is answered, or refused with the limit's name. Short
// messages and other messages on the bus are not delayed.
func TestManyLongBodies(t *testing.T) {
	url := startRedis(t).URL()
	for _, n := range []int{6, 60} {
		r := startRelaying(t, url, redis.Options{}, func([]byte) []byte { return []byte("taken") })
		body := bytes.Repeat([]byte{'A'}, 8<<20)
		var answered, refused atomic.Int64
		var work sync.WaitGroup
		for range n {
			work.Go(func() {
				_, err := r.a.Ask(t.Context(), r.b.Node(), body)
				var limit *errs.LimitError
				switch {
				case err == nil:
					answered.Add(1)
				case errors.Is(err, errs.ErrUnavailable) && errors.As(err, &limit) &&
					strings.Contains(limit.Name, "requests to"):
					refused.Add(1)
				default:
					t.Errorf("%v", err)
				}
			})
		}
		if answer, err := r.b.Ask(t.Context(), r.a.Node(), []byte("short")); err != nil || string(answer) != "taken" {
			t.Errorf("meanwhile: %q, %v", answer, err)
		}
		work.Wait()
		if answered.Load()+refused.Load() != int64(n) || answered.Load() == 0 || n == 6 && refused.Load() > 0 {
			t.Errorf("of %d requests %d were answered, and %d refused", n, answered.Load(), refused.Load())
		}
		r.idle(t)
		if r.missed.Load() > 0 {
			t.Errorf("the bus was cut %d times", r.missed.Load())
		}
	}
}

// TestBodiesAreBounded checks the limits of the receiver and of answers.
func TestBodiesAreBounded(t *testing.T) {
	const limit = 2 << 20
	began, release := make(chan struct{}, 9), make(chan struct{})
	r := startRelaying(t, startMini(t), redis.Options{CallBytes: limit}, func(request []byte) []byte {
		if request[0] == 'w' {
			began <- struct{}{}
			<-release
		}
		return bytes.Repeat(request[:1], limit)
	})
	c := open(t, redis.Options{URL: r.a.URL})
	wait, more := bytes.Repeat([]byte("w"), limit), bytes.Repeat([]byte("m"), limit)
	var work sync.WaitGroup
	work.Go(func() {
		if answer, err := r.a.Ask(t.Context(), r.b.Node(), wait); err != nil || len(answer) != limit {
			t.Errorf("%d bytes, %v", len(answer), err)
		}
	})
	hubtest.Recv(t, "the first to be asked", began)
	refused := func(s *redis.Store, whose string) {
		t.Helper()
		defer c.Serve(hub.NodeEvents{Lost: func() {}, Missed: func() {}})()
		_, err := s.Ask(t.Context(), r.b.Node(), more)
		if !errors.Is(err, errs.ErrUnavailable) || !strings.Contains(err.Error(), whose) {
			t.Errorf("%v", err)
		}
	}
	refused(r.a, "requests to other nodes")
	refused(c, "other nodes' messages")
	close(release)
	work.Wait()
	r.idle(t)
	if _, err := r.a.Ask(t.Context(), r.b.Node(), more); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestPiecesOfNothing checks that a message is discarded when its sender disappears in the middle.
func TestPiecesOfNothing(t *testing.T) {
	r := startRelaying(t, startMini(t), redis.Options{}, func(request []byte) []byte { return request })
	if err := r.a.SendPart(r.b.Node()); err != nil {
		t.Fatal(err)
	}
	hubtest.Until(t, "the piece to come", func() bool { return r.b.UnderWay() > 0 })
	r.b.Sweep(time.Now().Add(-time.Hour))
	if r.b.UnderWay() == 0 {
		t.Error("it is forgotten at once")
	}
	r.b.Sweep(time.Now().Add(time.Hour))
	if n := r.b.UnderWay(); n != 0 {
		t.Errorf("%d bytes are kept of it", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.a.Ask(ctx, r.b.Node(), make([]byte, 1<<20)); !errors.Is(err, errs.ErrUnavailable) {
		t.Errorf("for somebody who has gone: %v", err)
	}
	r.idle(t)
}
