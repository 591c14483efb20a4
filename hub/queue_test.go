package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/memory"
)

// faultyQueue is a store that returns errors while broken is set.
type faultyQueue struct {
	*memory.Queue
	broken atomic.Bool // writes and reads fail
	blind  atomic.Bool // reads fail
}

var errDisk = fmt.Errorf("the disk is full: %w", errs.ErrUnavailable)

func (q *faultyQueue) Enqueue(messages []hub.StoredMessage, room hub.QueueLimits) ([]uint64, error) {
	if q.broken.Load() {
		return nil, errDisk
	}
	return q.Queue.Enqueue(messages, room)
}

func (q *faultyQueue) Messages(user string, after uint64, limit int) (hub.QueuePage, error) {
	if q.broken.Load() || q.blind.Load() {
		return hub.QueuePage{}, errDisk
	}
	return q.Queue.Messages(user, after, limit)
}

func newFaultyQueue() *faultyQueue { return &faultyQueue{Queue: memory.NewQueue()} }

// message is what a reader of a queue gets.
type message struct {
	ID, Position, Topic, Event, Sender string
	Payload                            json.RawMessage
	QueuedAt                           time.Time `json:"queued_at"`
	ExpiresAt                          time.Time `json:"expires_at"`
}

func leave(t *testing.T, h *hub.Hub, user, id, payload string) hub.Queued {
	t.Helper()
	in := hub.MessageInput{User: user, ID: id, Event: "note", Payload: json.RawMessage(payload)}
	out, err := h.Enqueue("server", []hub.MessageInput{in})
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

func readQueue(t *testing.T, h *hub.Hub, user string) (*hub.QueueReader, *log.Wake) {
	t.Helper()
	wake := log.NewWake()
	r, reset, err := h.ReadQueue(user, log.Position{}, wake)
	if err != nil || reset != nil {
		t.Fatal(reset, err)
	}
	t.Cleanup(r.Close)
	return r, wake
}

// messages returns what r can read now.
func messages(t *testing.T, r *hub.QueueReader) (all []message) {
	t.Helper()
	for {
		items, _ := r.Read(nil)
		if len(items) == 0 {
			return all
		}
		for i := range items {
			var m message
			if err := json.Unmarshal(items[i].Event.Data, &m); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
	}
}

func TestMessagesOfAQueue(t *testing.T) {
	h := newHub(t, hub.Options{Queue: memory.NewQueue()})
	first := leave(t, h, "u", "", `{"n": 1}`)
	r, wake := readQueue(t, h, "u")
	other, _ := readQueue(t, h, "v")
	if got := messages(t, r); len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	<-wakeAfter(wake, func() {
		out, err := h.Enqueue("ci", []hub.MessageInput{
			{User: "u", ID: "a", Event: "bytes", Bytes: []byte{1, 2}, Topic: "code:file:x"},
			{User: "v", Event: "e"},
			{User: "u", Event: "e"},
		})
		if err != nil || len(out) != 3 || out[0].ID != "a" || out[1].Position.Offset != 1 ||
			out[2].Position.Offset != 3 {
			t.Errorf("%+v, %v", out, err)
		}
	})
	again, _ := readQueue(t, h, "u") // reading is not acknowledging
	got := messages(t, again)
	if len(got) != 3 || len(messages(t, r)) != 2 {
		t.Fatalf("%+v", got)
	}
	m := got[0]
	if m.ID != first.ID || m.Position != first.Position.String() || m.Topic != "user:u" || m.Event != "note" ||
		m.Sender != "server" || string(m.Payload) != `{"n":1}` {
		t.Errorf("%+v", m)
	}
	if m.ExpiresAt.Sub(m.QueuedAt) != 24*time.Hour || time.Since(m.QueuedAt) > time.Minute {
		t.Errorf("queued at %v, expires at %v", m.QueuedAt, m.ExpiresAt)
	}
	if m := got[1]; m.ID != "a" || m.Topic != "code:file:x" || m.Sender != "ci" ||
		string(m.Payload) != `{"bytes":"AQI="}` {
		t.Errorf("%+v", m)
	}
	if n := len(messages(t, other)); n != 1 {
		t.Errorf("v has %d messages", n)
	}
}

// wakeAfter calls f and returns a channel that receives when w is signalled.
func wakeAfter(w *log.Wake, f func()) <-chan struct{} {
	select {
	case <-w.C:
	default:
	}
	f()
	return w.C
}

func TestQueueRefuses(t *testing.T) {
	limits := hub.Limits{MessageBytes: 50, QueueMax: 3, QueueBytes: 60, BatchEvents: 4}
	h := newHub(t, hub.Options{Queue: memory.NewQueue(), Limits: limits})
	valid := hub.MessageInput{User: "u", Event: "e"}
	large := hub.MessageInput{User: "u", Event: "e", Payload: bytesOf(40)}
	tooLarge := hub.MessageInput{User: "u", Event: "e", Payload: json.RawMessage(`"` + strings.Repeat("x", 50) + `"`)}
	for name, tt := range map[string]struct {
		in   []hub.MessageInput
		kind error
		says string
	}{
		"no message": {nil, errs.ErrInvalid, "messages"},
		"batch":      {make([]hub.MessageInput, 5), errs.ErrTooLarge, "batch_events"},
		"no user":    {[]hub.MessageInput{{Event: "e"}}, errs.ErrInvalid, "user"},
		"user":       {[]hub.MessageInput{{User: "a\nb", Event: "e"}}, errs.ErrInvalid, "user"},
		"no event":   {[]hub.MessageInput{{User: "u"}}, errs.ErrInvalid, "event"},
		"topic":      {[]hub.MessageInput{{User: "u", Event: "e", Topic: "a\nb"}}, errs.ErrInvalid, "topic"},
		"id": {
			[]hub.MessageInput{valid, {User: "u", Event: "e", ID: "a b"}}, errs.ErrInvalid, "messages[1].id",
		},
		"payload":     {[]hub.MessageInput{{User: "u", Event: "e", Payload: []byte(`{`)}}, errs.ErrInvalid, "payload"},
		"large":       {[]hub.MessageInput{tooLarge}, errs.ErrTooLarge, "message_bytes"},
		"four":        {[]hub.MessageInput{valid, valid, valid, valid}, errs.ErrQueueFull, "queue_max"},
		"many bytes":  {[]hub.MessageInput{large, large}, errs.ErrQueueFull, "queue_bytes"},
		"full at one": {[]hub.MessageInput{{User: "v", Event: "e"}, large, large}, errs.ErrQueueFull, "queue_bytes"},
	} {
		if _, err := h.Enqueue("s", tt.in); !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, user := range []string{"u", "v"} {
		if r, _ := readQueue(t, h, user); len(messages(t, r)) > 0 {
			t.Errorf("something was left for %s", user)
		}
	}
	at := leave(t, h, "u", "", `{}`).Position
	for name, p := range map[string]log.Position{
		"now":           {Now: true},
		"another epoch": {Epoch: "x-q", Offset: 1},
		"ahead":         {Epoch: at.Epoch, Offset: at.Offset + 1},
	} {
		if err := h.AckMessages("u", p); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("ack of %s: %v", name, err)
		}
	}
	if err := h.AckMessages("u", log.Position{}); err != nil {
		t.Error(err)
	}
	none := newHub(t, hub.Options{})
	if _, err := none.Enqueue("s", []hub.MessageInput{{User: "u", Event: "e"}}); !errors.Is(err, errs.ErrUnavailable) {
		t.Error(err)
	}
	if _, _, err := none.ReadQueue("u", log.Position{}, log.NewWake()); !errors.Is(err, errs.ErrUnavailable) {
		t.Error(err)
	}
}

// bytesOf returns a JSON value of n bytes.
func bytesOf(n int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", n-2) + `"`) }

// TestQueueEpoch: a position from before a backup was restored is reset, and so is one that this queue has never had.
func TestQueueEpoch(t *testing.T) {
	h := newHub(t, hub.Options{Queue: memory.NewQueue()})
	at := leave(t, h, "u", "", `{}`).Position
	for reason, p := range map[log.ResetReason]log.Position{
		log.ResetEpoch: {Epoch: "other-q", Offset: 1}, log.ResetAhead: {Epoch: at.Epoch, Offset: 9},
	} {
		r, reset, err := h.ReadQueue("u", p, log.NewWake())
		if err != nil || reset == nil || reset.Reason != reason {
			t.Fatalf("%+v, %v; want %s", reset, err, reason)
		}
		if n := len(messages(t, r)); n != 1 {
			t.Errorf("%d messages", n)
		}
		r.Close()
	}
	v := log.Vector{at, {Epoch: "boot-3", Offset: 7}}
	if back, err := log.ParseVector(string(v.Append(nil)), 2); err != nil || back[0] != at || back[1] != v[1] {
		t.Errorf("in a vector: %+v, %v", back, err)
	}
}

// TestQueueHeals: what the store cannot write is refused. What a reader could not get at once it gets when the store
// can be read again.
func TestQueueHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaultyQueue()
		h := hub.New(hub.Options{Queue: store, Logger: quiet})
		defer h.Close()
		r, wake := readQueue(t, h, "u")
		defer r.Close()
		store.broken.Store(true)
		if _, err := h.Enqueue("s", []hub.MessageInput{{User: "u", Event: "e"}}); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		if _, _, err := h.ReadQueue("v", log.Position{}, log.NewWake()); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		store.broken.Store(false)
		store.blind.Store(true)
		leave(t, h, "u", "", `{}`)
		if n := len(messages(t, r)); n != 0 {
			t.Errorf("%d messages", n)
		}
		store.blind.Store(false)
		<-wake.C // by the janitor
		if n := len(messages(t, r)); n != 1 {
			t.Errorf("%d messages after the store healed", n)
		}
	})
}

// TestDurableEvents: a durable event is queued for those of its recipients who do not read its topic.
func TestDurableEvents(t *testing.T) {
	h := newHub(t, hub.Options{Queue: memory.NewQueue(), Limits: hub.Limits{QueueMax: 2}})
	here, _, err := h.Subscribe("code:file:x", log.Position{Now: true}, log.NewWake())
	if err != nil {
		t.Fatal(err)
	}
	here.ReadFor("here")
	publish := func(in hub.EventInput) (hub.Published, error) {
		out, err := h.Publish("code:file:x", "s", []hub.EventInput{in})
		if err != nil {
			return hub.Published{}, err
		}
		return out[0], nil
	}
	for range 2 { // the second is a retry
		out, err := publish(hub.EventInput{
			ID: "one", Event: "e", Payload: json.RawMessage(`{"n":1}`),
			Durable: true, To: []string{"here", "away", "away"},
		})
		if err != nil || out.ID != "one" {
			t.Fatal(out, err)
		}
	}
	items, _ := here.Read(nil)
	away, _ := readQueue(t, h, "away")
	left, _ := readQueue(t, h, "here")
	got := messages(t, away)
	if len(items) != 1 || len(got) != 1 || len(messages(t, left)) != 0 {
		t.Fatalf("%d on the topic, %+v for the one who is away", len(items), got)
	}
	if m := got[0]; m.ID != "one" || m.Topic != "code:file:x" || m.Event != "e" || m.Sender != "s" ||
		string(m.Payload) != `{"n":1}` {
		t.Errorf("%+v", m)
	}
	here.Close()
	out, err := publish(hub.EventInput{Event: "e", Durable: true, To: []string{"here"}})
	if got := messages(t, left); err != nil || len(got) != 1 || got[0].ID != out.ID {
		t.Errorf("%+v, %v: one who has left has %+v", out, err, got)
	}
	before := len(messages(t, away))
	if _, err := publish(hub.EventInput{Event: "e", Durable: true, To: []string{"away"}}); err != nil {
		t.Error(err)
	}
	for name, tt := range map[string]struct {
		in   hub.EventInput
		kind error
	}{
		"full":     {hub.EventInput{Event: "e", Durable: true, To: []string{"away"}}, errs.ErrQueueFull},
		"no to":    {hub.EventInput{Event: "e", Durable: true}, errs.ErrInvalid},
		"to alone": {hub.EventInput{Event: "e", To: []string{"away"}}, errs.ErrInvalid},
		"ephemeral": {
			hub.EventInput{Event: "e", Durable: true, Ephemeral: true, To: []string{"away"}}, errs.ErrInvalid,
		},
		"nobody": {hub.EventInput{Event: "e", Durable: true, To: []string{""}}, errs.ErrInvalid},
		"many":   {hub.EventInput{Event: "e", Durable: true, To: make([]string, 101)}, errs.ErrTooLarge},
	} {
		if _, err := publish(tt.in); !errors.Is(err, tt.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, _, err := h.Subscribe("code:file:x", log.Position{}, log.NewWake())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if items, _ := r.Read(nil); len(items) != 3 || len(messages(t, away)) != 1+before {
		t.Errorf("%d events on the topic: what was refused must leave nothing", len(items))
	}
}

// TestResults: the result of a completion is queued for the user who requested it, unless the user has a session, or
// has cancelled the completion.
func TestResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFaultyQueue()
		wait := make(chan struct{})
		provider := scripted(func(ctx context.Context, w hub.CompletionWriter) error {
			select {
			case <-wait:
			case <-ctx.Done():
				return ctx.Err()
			}
			return w.Text("some \"text\"")
		})
		h := hub.New(hub.Options{
			Queue: store, Logger: quiet, Limits: hub.Limits{MessageBytes: 1000}, Provider: provider,
		})
		defer func() { h.Close() }()
		begin := func(id string) *hub.Stream {
			t.Helper()
			spec := hub.StreamSpec{ID: id, Owner: "u", Kind: "completion"}
			s, _, err := h.Complete(&hub.CompletionRequest{}, spec, hub.CompletionMeta{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		r, _ := readQueue(t, h, "u") // a reader is not yet a session
		defer r.Close()
		s := begin("left")
		begin("cancelled").Cancel("u")
		store.broken.Store(true)
		close(wait)
		<-s.Done()
		synctest.Wait()
		store.broken.Store(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		got := messages(t, r)
		if len(got) != 1 || got[0].Event != hub.ResultEvent || got[0].Topic != "user:u" {
			t.Fatalf("%+v", got)
		}
		var result struct{ ID, Kind, Status, Text, Position string }
		if err := json.Unmarshal(got[0].Payload, &result); err != nil {
			t.Fatal(err)
		}
		if result.ID != "left" || result.Kind != "completion" || result.Status != "done" ||
			result.Text != `some "text"` || result.Position != s.State().Position.String() {
			t.Errorf("%+v", result)
		}
		leave := h.EnterSession("u", hub.ViaSSE)
		<-begin("seen").Done()
		synctest.Wait()
		leave()
		if got := messages(t, r); len(got) != 0 {
			t.Errorf("one who was there gets %+v", got)
		}
		wait = make(chan struct{})
		begin("stopped")
		synctest.Wait()
		h.Close()
		r.Close()
		h = hub.New(hub.Options{Queue: store, Logger: quiet})
		r, _ = readQueue(t, h, "u")
		defer r.Close()
		if got := messages(t, r); len(got) != 2 || !strings.Contains(string(got[1].Payload), `"status":"interrupted"`) {
			t.Errorf("after the server's end: %+v", got)
		}
	})
}

// TestQueueInOrder: while many publish, readers come, go, resume and acknowledge. They get every publisher's messages
// in order, and all readers together get every message.
func TestQueueInOrder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const publishers, each = 4, 150
	h := newHub(t, hub.Options{Queue: memory.NewQueue()})
	var work sync.WaitGroup
	for p := range publishers {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(p)))
			for n := 0; n < each; {
				batch := make([]hub.MessageInput, 0, 3)
				for range 1 + rng.IntN(3) {
					if n < each {
						batch = append(batch, hub.MessageInput{User: "u", ID: fmt.Sprintf("%d.%d", p, n), Event: "e"})
						n++
					}
				}
				for range 1 + rng.IntN(2) { // some twice
					if _, err := h.Enqueue(fmt.Sprint("p", p), batch); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	var mu sync.Mutex
	seen := make(map[string]bool)
	over := func() bool { mu.Lock(); defer mu.Unlock(); return len(seen) == publishers*each }
	for reader := range 2 {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(10+reader)))
			at := log.Position{}
			for !over() && !t.Failed() {
				at = readSome(t, h, rng, at, func(id string) {
					mu.Lock()
					defer mu.Unlock()
					seen[id] = true
				})
			}
		})
	}
	work.Wait()
}

// readSome is one session: it reads for a while from a position, acknowledges now and then, and returns its last
// position.
func readSome(t *testing.T, h *hub.Hub, rng *rand.Rand, at log.Position, see func(id string)) log.Position {
	wake := log.NewWake()
	r, reset, err := h.ReadQueue("u", at, wake)
	if err != nil || reset != nil {
		t.Error(reset, err)
		return at
	}
	defer r.Close()
	var last uint64
	next := make(map[string]int)
	for range 1 + rng.IntN(5) {
		select {
		case <-wake.C:
		case <-time.After(time.Millisecond):
		}
		items, _ := r.ReadUpTo(nil, 1+rng.IntN(40))
		for i := range items {
			ev := items[i].Event
			if ev.Offset <= last {
				t.Errorf("offset %d after %d", ev.Offset, last)
			}
			last = ev.Offset
			var m message
			_ = json.Unmarshal(ev.Data, &m)
			var p string
			var n int
			if _, err := fmt.Sscanf(strings.Replace(m.ID, ".", " ", 1), "%s %d", &p, &n); err != nil || n < next[p] {
				t.Errorf("%s comes after %d, %v", m.ID, next[p], err)
			}
			next[p] = n
			see(m.ID)
		}
		if rng.IntN(3) == 0 {
			if err := h.AckMessages("u", r.Position()); err != nil {
				t.Error(err)
			}
		}
	}
	if rng.IntN(4) == 0 {
		return log.Position{}
	}
	return r.Position()
}
