//go:build linux

package faulttest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// workload describes a child's work. It determines what is enqueued.
type workload struct {
	Store, Dir, Log, Control string

	Seed      uint64
	Began     int64 // QueuedAt of the messages, in Unix milliseconds
	Users     int
	Readers   int // number of users that have a reader
	ReadEvery time.Duration
	Next      []int // of each publisher, the number of its first request
	Requests  int   // of each publisher
	Close     bool  // close the store, instead of ending like a killed process

	GiveUp    int // errors after which a publisher gives a request up; 0: never
	Arm       arm
	HealAfter int // errors after which the faults end; 0: never
}

// arm sets words of the control page when so many requests have been accepted.
type arm struct {
	AtStart bool // before the store opens
	After   int64
	Set     map[counter]int64
}

func busy(store string, seed uint64) workload {
	return workload{
		Store: store, Seed: seed, Began: time.Now().UnixMilli(),
		Users: 4, Readers: 2, ReadEvery: time.Millisecond, Next: []int{1, 1, 1, 1, 1, 1}, Requests: 20,
	}
}

// request is what a publisher enqueues in one call: all of its messages are stored, or none.
type request struct {
	id       string // pP-N
	messages []hub.StoredMessage
}

func (r request) publisher() string { p, _, _ := strings.Cut(r.id, "-"); return p }

func userName(u int) string { return "user" + strconv.Itoa(u) }

// request returns the nth request of a publisher: mostly one message, sometimes several, and sometimes one of several
// pages.
func (w workload) request(p, n int) request {
	rng := rand.New(rand.NewPCG(w.Seed, uint64(p)<<32|uint64(n)))
	r := request{id: "p" + strconv.Itoa(p) + "-" + strconv.Itoa(n)}
	came := time.UnixMilli(w.Began).UTC()
	for i := range 1 + max(0, rng.IntN(6)-3) {
		size := 20 + rng.IntN(300)
		if rng.IntN(12) == 0 {
			size = 3000 + rng.IntN(12000)
		}
		text := bytes.Repeat([]byte(strconv.FormatUint(rng.Uint64(), 36)+" "), size/10)
		r.messages = append(r.messages, hub.StoredMessage{
			User: userName(rng.IntN(w.Users)), ID: r.id + "-" + strconv.Itoa(i), Named: true, Sender: r.publisher(),
			Event:    "edit",
			Payload:  slices.Concat([]byte(`{"text":"`), text, []byte(`"}`)),
			QueuedAt: came, ExpiresAt: came.Add(24 * time.Hour),
		})
	}
	return r
}

// requestOf returns the request that an id of a request or a message names, and the index of the message. ok is false
// if there is none.
func (w workload) requestOf(id string) (r request, number, message int, ok bool) {
	var p int
	parts := strings.Split(strings.TrimPrefix(id, "p"), "-")
	for i, to := range []*int{&p, &number, &message} {
		if i < len(parts) {
			v, err := strconv.Atoi(parts[i])
			if err != nil {
				return r, 0, 0, false
			}
			*to = v
		}
	}
	r = w.request(p, number)
	return r, number, message, message < len(r.messages)
}

// same reports whether a message is what was sent, apart from its offset.
func same(a, b hub.StoredMessage) bool {
	if !a.QueuedAt.Equal(b.QueuedAt) || !a.ExpiresAt.Equal(b.ExpiresAt) || !slices.Equal(a.Payload, b.Payload) {
		return false
	}
	return a.User == b.User && a.ID == b.ID && a.Named == b.Named && a.Sender == b.Sender && a.Topic == b.Topic &&
		a.Event == b.Event
}
