package storagetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// modelQueue is a simple model of one user's queue: every message that was ever added, and its head.
type modelQueue struct {
	all            []hub.StoredMessage
	head           uint64
	expired        int
	expiredThrough uint64
}

func (q *modelQueue) expire(now time.Time, limit int) (n int) {
	for ; n < limit && q.head < uint64(len(q.all)) && !q.all[q.head].ExpiresAt.After(now); n++ {
		q.head++
		q.expired++
		q.expiredThrough = q.head
	}
	return n
}

// find returns the offset of the message with that id, or 0. The model's time is too short for an id to be forgotten.
func (q *modelQueue) find(id string) uint64 {
	for i := range q.all {
		if q.all[i].ID == id {
			return uint64(i + 1)
		}
	}
	return 0
}

// likeModel applies random operations to a store and to the model, and compares them. On failure rapid prints the
// shortest sequence that it finds, and its seed.
func likeModel(t testing.TB, rt *rapid.T, s hub.QueueStore,
	reopen func(t testing.TB, s hub.QueueStore) hub.QueueStore,
) {
	users := map[string]*modelQueue{"u": {}, "v": {}}
	limits := hub.QueueLimits{Messages: 4, Bytes: 1 << 20}
	now, serial := noon, 0
	user := rapid.SampledFrom([]string{"u", "v"})
	rt.Repeat(map[string]func(*rapid.T){
		"enqueue": func(rt *rapid.T) {
			m := message(user.Draw(rt, "user"), "")
			m.QueuedAt, m.ExpiresAt = now, now.Add(time.Duration(rapid.IntRange(1, 3).Draw(rt, "life"))*time.Second)
			q := users[m.User]
			serial++
			m.ID = fmt.Sprint("m", serial)
			if len(q.all) > 0 && rapid.IntRange(0, 3).Draw(rt, "again") == 0 {
				m.ID = q.all[rapid.IntRange(0, len(q.all)-1).Draw(rt, "which")].ID
			}
			want := q.find(m.ID)
			waiting := len(q.all) - int(q.head)
			full := want == 0 && waiting >= limits.Messages
			if full && q.expire(now, waiting) > 0 {
				full = false
			}
			offsets, err := s.Enqueue([]hub.StoredMessage{m}, limits)
			if full {
				if !errors.Is(err, errs.ErrQueueFull) {
					rt.Fatalf("%v, %v; want it full", offsets, err)
				}
				return
			}
			if want == 0 {
				if n := len(q.all); n > int(q.head) && q.all[n-1].ExpiresAt.After(m.ExpiresAt) {
					m.ExpiresAt = q.all[n-1].ExpiresAt
				}
				q.all = append(q.all, m)
				want = uint64(len(q.all))
			}
			if err != nil || offsets[0] != want {
				rt.Fatalf("offset %v, %v; want %d", offsets, err, want)
			}
		},
		"acknowledge": func(rt *rapid.T) {
			name := user.Draw(rt, "user")
			q := users[name]
			through := rapid.Uint64Range(0, uint64(len(q.all))+1).Draw(rt, "through")
			ahead, err := s.AckMessages(name, through)
			if err != nil || ahead != (through > uint64(len(q.all))) {
				rt.Fatalf("%t, %v", ahead, err)
			}
			if ahead {
				return
			}
			q.head = max(q.head, through)
			if through >= q.expiredThrough {
				q.expired, q.expiredThrough = 0, 0
			}
		},
		"time": func(rt *rapid.T) {
			now = now.Add(time.Duration(rapid.IntRange(1, 2000).Draw(rt, "milliseconds")) * time.Millisecond)
		},
		"expire": func(rt *rapid.T) {
			name, limit := user.Draw(rt, "user"), rapid.IntRange(1, 4).Draw(rt, "limit")
			want := users[name].expire(now, limit)
			if n, err := s.ExpireMessages(name, now, limit); n != want || err != nil {
				rt.Fatalf("%d expired, %v; want %d", n, err, want)
			}
		},
		"reopen": func(rt *rapid.T) {
			if rapid.IntRange(0, 3).Draw(rt, "rarely") == 0 { // reopening is slow
				s = reopen(t, s)
			}
		},
		"": func(rt *rapid.T) {
			for name, q := range users {
				compare(t, rt, s, name, q)
			}
		},
	})
}

func compare(t testing.TB, rt *rapid.T, s hub.QueueStore, name string, q *modelQueue) {
	page := read(t, s, name, 0, 100)
	if page.Head != q.head || page.Tail != uint64(len(q.all)) || page.Expired != q.expired ||
		page.ExpiredThrough != q.expiredThrough {
		rt.Fatalf("%s: %+v, want head %d, tail %d, %d expired through %d", name, page, q.head, len(q.all), q.expired,
			q.expiredThrough)
	}
	for i, m := range page.Messages {
		want := q.all[int(q.head)+i]
		if m.ID != want.ID || m.Offset != q.head+uint64(i)+1 || !m.ExpiresAt.Equal(want.ExpiresAt) {
			rt.Fatalf("%s: message %d is %+v, want %+v", name, i, m, want)
		}
	}
	if len(page.Messages) != len(q.all)-int(q.head) {
		rt.Fatalf("%s: %d messages, want %d", name, len(page.Messages), len(q.all)-int(q.head))
	}
}
