package handlers_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/memory"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/redis/redistest"
	"github.com/duckwire/duckwire/storage/sqlite"
)

var (
	queueSeed = flag.Uint64("queue.seed", 0, "seed of TestQueueModel; 0: from the clock")
	queueTime = flag.Duration("queue.for", 2*time.Second, "how long TestQueueModel leaves messages at least")
)

// TestQueueModel: messages are left for users while several sessions of each join, join again on the same socket, are
// cut, resume, and acknowledge, all at once. Whatever store has the queues, each join's feed has the messages in order.
// It begins with the first that is not acknowledged and behind the join's position, and leaves out only what was
// acknowledged, or what it says has expired.
func TestQueueModel(t *testing.T) {
	t.Parallel()
	seed := *queueSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (-queue.seed=%d repeats it; -queue.for=1m does more)", seed, seed)
	t.Run("memory", func(t *testing.T) { playQueue(t, seed, memory.NewQueue(), 0) })
	t.Run("memory, expiring", func(t *testing.T) {
		playQueue(t, seed, memory.NewQueue(), 300*time.Millisecond)
	})
	t.Run("SQLite", func(t *testing.T) {
		store, err := sqlite.Open(sqlite.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		playQueue(t, seed, store, 0)
	})
	t.Run("Redis", func(t *testing.T) {
		hubtest.Full(t, "redis-server")
		store, err := redis.Open(redis.Options{
			URL: redistest.Start(t).URL(), Node: "n", Timeout: hubtest.Hung, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.Close)
		playQueue(t, seed, store, 0)
	})
}

// playQueue runs the model on one store, with messages that expire after ttl; 0: not before the end.
func playQueue(t *testing.T, seed uint64, store hub.QueueStore, ttl time.Duration) {
	const users, sessions = 3, 3
	limits := hub.Limits{QueueTTL: ttl, QueueMax: 1 << 20, QueueBytes: 1 << 30}
	s := startHub(t, hub.Options{Queue: store, Limits: limits}, nil)
	var left, read sync.WaitGroup
	var all []*modelQueue
	for i := range users {
		q := &modelQueue{t: t, s: s, user: fmt.Sprintf("u%d", i)}
		all = append(all, q)
		left.Go(func() { q.leave(rand.New(rand.NewPCG(seed, uint64(i)))) })
		for j := range sessions {
			read.Go(func() { q.visits(rand.New(rand.NewPCG(seed, uint64(100*i+j+10)))) })
		}
	}
	left.Wait()
	read.Wait()
	for _, q := range all {
		t.Logf("%s: %d messages left, %d delivered, %d joins, acknowledged through %d", q.user, q.tail.Load(),
			q.delivered.Load(), q.joins.Load(), q.acked.Load())
	}
}

// modelQueue is what is known of one user's queue.
type modelQueue struct {
	t    *testing.T
	s    *testServer
	user string

	tail   atomic.Uint64 // the newest message that was left
	asked  atomic.Uint64 // up to where an acknowledgement was sent
	acked  atomic.Uint64 // up to where one was confirmed
	closed atomic.Bool   // no more messages are left

	delivered, joins atomic.Int64
}

// raise sets a to at least n.
func raise(a *atomic.Uint64, n uint64) {
	for {
		if now := a.Load(); n <= now || a.CompareAndSwap(now, n) {
			return
		}
	}
}

// leave leaves messages, and closes the queue in the end.
func (q *modelQueue) leave(rnd *rand.Rand) {
	defer q.closed.Store(true)
	for end := time.Now().Add(*queueTime); time.Now().Before(end) && !q.t.Failed(); {
		in := make([]hub.MessageInput, 1+rnd.IntN(3))
		for i := range in {
			in[i] = hub.MessageInput{User: q.user, Event: "note"}
		}
		out, err := q.s.hub.Enqueue("app", in)
		if err != nil {
			q.t.Errorf("Enqueue: %v", err)
			return
		}
		raise(&q.tail, out[len(out)-1].Position.Offset)
		time.Sleep(time.Duration(rnd.IntN(4)) * time.Millisecond)
	}
}

// visits opens one session after another until one of them has read the closed queue to its end.
func (q *modelQueue) visits(rnd *rand.Rand) {
	v := &modelVisitor{modelQueue: q, rnd: rnd}
	for !q.t.Failed() && !v.done {
		v.visit()
	}
}

// modelVisitor is a client that comes again and again.
type modelVisitor struct {
	*modelQueue
	rnd      *rand.Rand
	position string // of the last frame; "": none
	offset   uint64 // its offset in the queue
	at       uint64 // what the present feed has sent; it may be less, after a join from the oldest message
	done     bool

	conn *websocket.Conn
	ctx  context.Context
	ref  int
	acks map[string]uint64 // by ref
	join map[string]*modelFeed
	feed *modelFeed // of the last join that was answered
}

// modelFeed is what a join's feed has sent.
type modelFeed struct {
	ref       string
	positions bool
	last      uint64 // the last offset that the client has, or need not get
	floor     uint64 // up to where everything was acknowledged when the join was sent
	expired   uint64 // up to where the client was told of expired messages
}

// visit joins, reads and acknowledges for a while, and ends with a cut.
func (v *modelVisitor) visit() {
	ctx, cancel := context.WithTimeout(context.Background(), hubtest.Hung)
	defer cancel()
	url := v.s.URL + "/socket/websocket?vsn=2.0.0&token=" + token(v.t, v.user)
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: v.s.plain})
	if err != nil {
		v.t.Error(err)
		return
	}
	defer conn.CloseNow()
	v.conn, v.ctx, v.acks, v.join, v.feed = conn, ctx, map[string]uint64{}, map[string]*modelFeed{}, nil
	v.sendJoin()
	for steps := v.rnd.IntN(60); !v.t.Failed(); steps-- {
		switch {
		case v.closed.Load() && v.feed != nil && v.feed.positions && max(v.feed.last, v.asked.Load()) >= v.tail.Load():
			v.done = true
			return
		case steps < 0 && !v.closed.Load():
			return
		case v.rnd.IntN(12) == 0 && !v.closed.Load(), v.closed.Load() && v.feed != nil && !v.feed.positions && len(v.join) == 0:
			v.sendJoin()
		case v.rnd.IntN(6) == 0 && v.at > 0:
			v.sendAck()
		}
		v.receive()
	}
}

func (v *modelVisitor) send(ref, event, payload string) {
	joinRef := ref
	if event != "phx_join" && v.feed != nil {
		joinRef = v.feed.ref
	}
	v.write(fmt.Sprintf(`[%q,%q,"user:%s",%q,%s]`, joinRef, ref, v.user, event, payload))
}

func (v *modelVisitor) write(frame string) {
	if err := v.conn.Write(v.ctx, websocket.MessageText, []byte(frame)); err != nil {
		v.t.Error(err)
	}
}

func (v *modelVisitor) nextRef() string {
	v.ref++
	return fmt.Sprint(v.ref)
}

// sendJoin joins, perhaps again: from the client's position, from the oldest message, or without asking for positions.
func (v *modelVisitor) sendJoin() {
	f := &modelFeed{ref: v.nextRef(), positions: true, floor: v.acked.Load()}
	params := `{"after":"now"}`
	switch n := v.rnd.IntN(4); {
	case n == 0 && !v.closed.Load():
		f.positions, params = false, `{}`
	case n > 1 && v.position != "":
		f.last, params = v.offset, fmt.Sprintf(`{"after":%q}`, v.position)
	}
	v.join[f.ref] = f
	v.joins.Add(1)
	v.send(f.ref, "phx_join", params)
}

func (v *modelVisitor) sendAck() {
	if v.feed == nil {
		return
	}
	ref := v.nextRef()
	v.acks[ref] = v.at
	raise(&v.asked, v.at)
	v.send(ref, "ack", fmt.Sprintf(`{"through":%q}`, fmt.Sprintf("%s.%d", v.s.hub.QueueEpoch(), v.at)))
}

// receive reads what was sent before the reply to a heartbeat.
func (v *modelVisitor) receive() {
	beat := v.nextRef()
	v.write(fmt.Sprintf(`[null,%q,"phoenix","heartbeat",{}]`, beat))
	for !v.t.Failed() {
		_, data, err := v.conn.Read(v.ctx)
		if err != nil {
			v.t.Error(err)
			return
		}
		var fields []json.RawMessage
		var joinRef, ref *string
		var event string
		if json.Unmarshal(data, &fields) != nil || len(fields) != 5 || json.Unmarshal(fields[0], &joinRef) != nil ||
			json.Unmarshal(fields[1], &ref) != nil || json.Unmarshal(fields[3], &event) != nil {
			v.t.Errorf("not a frame: %s", data)
			return
		}
		switch event {
		case "phx_reply":
			if *ref == beat {
				return
			}
			v.replied(*ref, fields[4])
		case "message", hub.ExpiredEvent:
			v.message(joinRef, ref, event, fields[4])
		}
	}
}

func (v *modelVisitor) replied(ref string, payload json.RawMessage) {
	var reply struct{ Status string }
	_ = json.Unmarshal(payload, &reply)
	if f := v.join[ref]; f != nil {
		if reply.Status != "ok" {
			v.t.Errorf("a join was refused: %s", payload)
		}
		delete(v.join, ref)
		v.feed, v.at = f, f.last
	}
	if through, ok := v.acks[ref]; ok && reply.Status == "ok" {
		raise(&v.acked, through)
	}
}

// message checks a message, or a report of expired ones, against what its feed has sent before.
func (v *modelVisitor) message(joinRef, ref *string, event string, payload json.RawMessage) {
	var m struct{ Position, Through string }
	if err := json.Unmarshal(payload, &m); err != nil || v.feed == nil {
		v.t.Errorf("%s before the join's reply, or not whole: %v", payload, err)
		return
	}
	f := v.feed
	if joinRef != nil && *joinRef != f.ref {
		v.t.Errorf("%s of the join %s comes behind the reply to %s", payload, *joinRef, f.ref)
	}
	if event == hub.ExpiredEvent {
		p, _ := log.ParsePosition(m.Through)
		f.expired = max(f.expired, p.Offset)
		return
	}
	p, err := log.ParsePosition(m.Position)
	if err != nil {
		v.t.Error(err)
		return
	}
	asked := v.asked.Load()
	switch {
	case p.Offset <= f.last:
		v.t.Errorf("%s: message %d comes behind %d", v.user, p.Offset, f.last)
	case p.Offset <= f.floor:
		v.t.Errorf("%s: message %d was acknowledged before the join", v.user, p.Offset)
	case p.Offset > f.last+1 && p.Offset-1 > max(asked, f.expired):
		v.t.Errorf("%s: message %d comes behind %d; acknowledged through %d, expired through %d", v.user, p.Offset, f.last,
			asked, f.expired)
	}
	f.last, v.at, v.offset = p.Offset, p.Offset, p.Offset
	v.delivered.Add(1)
	if !f.positions {
		v.position = m.Position // of the queue alone
		return
	}
	if joinRef == nil || ref == nil {
		v.t.Errorf("a message without the join's join_ref and a position: %s", payload)
		return
	}
	vector, err := log.ParseVector(*ref, 2)
	if err != nil || vector[1] != p {
		v.t.Errorf("message %v has the position %v, %v", p, vector, err)
	}
	v.position = *ref
}
