package hub_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/memory"
)

// protocol is a model of a queue with two sessions of one user, and up to three messages, each of which lives for two
// steps of time. TestQueueProtocol visits every reachable state of it, and tries every action in each against the hub.
type protocol struct {
	published      uint8
	born           [3]uint8 // the step in which each message was published
	now            uint8
	head           uint8 // messages that are acknowledged or have expired
	expired        uint8 // of these, those that expired and were not acknowledged since
	expiredThrough uint8
	sessions       [2]protocolSession
}

type protocolSession struct {
	open  bool
	after uint8 // what it has read
	told  uint8 // the last expired message that it was told of
}

const (
	protocolMessages = 3
	protocolSteps    = 3
	protocolStep     = time.Minute
)

// protocolRead is the result of a read.
type protocolRead struct {
	first, last uint8 // messages first … last; 0 for none
	expired     uint8 // of the Expired that it returns, as through; 0 for none
	through     uint8
}

type protocolAction uint8

// The actions. Those from actOpen on are tried with each session.
const (
	actPublish protocolAction = iota
	actRepublish
	actStep
	actCrash
	actOpen // closes the session first, if it is open, and opens it without a position
	actResume
	actRead
	actAck
	actAckAgain   // acknowledges the oldest message again
	sessionAction = actOpen
	actions       = actAckAgain + 1
)

// apply returns the state after an action, of one session or of none, and the result of a read. ok is false if the
// action is not possible in the state.
func (p protocol) apply(a protocolAction, who int) (next protocol, got protocolRead, ok bool) {
	s := &p.sessions[who]
	switch a {
	case actPublish:
		ok = p.published < protocolMessages
		if ok {
			p.born[p.published] = p.now
			p.published++
		}
	case actRepublish:
		ok = p.published > 0
	case actStep:
		if ok = p.now < protocolSteps; ok {
			p.now++
			for p.head < p.published && p.born[p.head]+2 <= p.now {
				p.head++
				p.expired++
				p.expiredThrough = p.head
			}
		}
	case actCrash:
		ok = true
		p.sessions = [2]protocolSession{}
	case actOpen:
		ok = true
		*s = protocolSession{open: !s.open}
	case actResume:
		if ok = s.open; ok {
			s.told = 0
		}
	case actRead:
		if ok = s.open; ok {
			got = p.read(s)
		}
	case actAck:
		if ok = s.open; ok {
			p.ack(max(s.after, s.told))
		}
	case actAckAgain:
		if ok = p.published > 0; ok {
			p.ack(1)
		}
	}
	return p, got, ok
}

func (p *protocol) read(s *protocolSession) (got protocolRead) {
	s.after = max(s.after, p.head)
	if s.after < p.published {
		got.first, got.last = s.after+1, p.published
		s.after = p.published
	}
	if p.expiredThrough > s.told {
		got.expired, got.through = p.expired, p.expiredThrough
		s.told = p.expiredThrough
	}
	return got
}

func (p *protocol) ack(through uint8) {
	p.head = max(p.head, through)
	if through >= p.expiredThrough {
		p.expired, p.expiredThrough = 0, 0
	}
}

// symmetric returns the same for states that differ only in which session is which.
func (p protocol) symmetric() protocol {
	a, b := p.sessions[0], p.sessions[1]
	if b.open && !a.open || a.open == b.open && (b.after > a.after || b.after == a.after && b.told > a.told) {
		p.sessions = [2]protocolSession{b, a}
	}
	return p
}

type protocolMove struct {
	action protocolAction
	who    int
}

// protocolPath is a state, and actions that lead to it.
type protocolPath struct {
	state protocol
	moves []protocolMove
}

// TestQueueProtocol compares the hub with the protocol in every reachable state and for every action there.
func TestQueueProtocol(t *testing.T) {
	known := map[protocol]bool{{}: true}
	queue := []protocolPath{{}}
	tried := 0
	for len(queue) > 0 && !t.Failed() {
		from := queue[0]
		queue = queue[1:]
		for a := range actions {
			for who := range 2 {
				to, _, ok := from.state.apply(a, who)
				if !ok || a < sessionAction && who > 0 {
					continue
				}
				tried++
				path := append(append([]protocolMove{}, from.moves...), protocolMove{a, who})
				if !known[to.symmetric()] {
					known[to.symmetric()] = true
					queue = append(queue, protocolPath{to, path})
				}
				synctest.Test(t, func(t *testing.T) { followProtocol(t, path) })
			}
		}
	}
	t.Logf("%d states, %d transitions", len(known), tried)
}

// followProtocol takes a path through the protocol and the hub, and compares what is read at each step of it.
func followProtocol(t *testing.T, path []protocolMove) {
	var model protocol
	x := &protocolHub{t: t, store: memory.NewQueue()}
	x.start()
	defer func() { x.stop() }()
	for i, m := range path {
		next, want, _ := model.apply(m.action, m.who)
		if got := x.do(m, &model); got != want {
			t.Errorf("step %d of %v: %+v, want %+v", i, path, got, want)
		}
		model = next
	}
}

// protocolHub is a hub under test.
type protocolHub struct {
	t       *testing.T
	store   *memory.Queue
	hub     *hub.Hub
	readers [2]*hub.QueueReader
}

func (x *protocolHub) start() {
	x.hub = hub.New(hub.Options{Queue: x.store, Limits: hub.Limits{QueueTTL: 2 * protocolStep}})
}

func (x *protocolHub) stop() {
	for i, r := range x.readers {
		if r != nil {
			r.Close()
			x.readers[i] = nil
		}
	}
	x.hub.Close()
}

func (x *protocolHub) do(m protocolMove, model *protocol) (got protocolRead) {
	switch m.action {
	case actPublish:
		x.publish(model.published + 1)
	case actRepublish:
		x.publish(1)
	case actStep:
		time.Sleep(protocolStep)
		synctest.Wait()
	case actCrash:
		store := x.store.Clone()
		x.stop()
		x.store = store
		x.start()
	case actOpen:
		if x.readers[m.who] != nil {
			x.readers[m.who].Close()
			x.readers[m.who] = nil
		} else {
			x.open(m.who, log.Position{})
		}
	case actResume:
		at := x.readers[m.who].Position()
		x.readers[m.who].Close()
		x.open(m.who, at)
	case actRead:
		return x.read(m.who)
	case actAck:
		s := &model.sessions[m.who]
		x.ack(max(s.after, s.told))
	case actAckAgain:
		x.ack(1)
	}
	return got
}

func (x *protocolHub) publish(n uint8) {
	out, err := x.hub.Enqueue("server", []hub.MessageInput{{User: "u", ID: fmt.Sprint("m", n), Event: "e"}})
	if err != nil || out[0].Position != x.position(n) {
		x.t.Errorf("message %d: %+v, %v", n, out, err)
	}
}

func (x *protocolHub) position(n uint8) log.Position {
	return log.Position{Epoch: x.hub.QueueEpoch(), Offset: uint64(n)}
}

func (x *protocolHub) open(who int, at log.Position) {
	r, reset, err := x.hub.ReadQueue("u", at, log.NewWake())
	if err != nil || reset != nil {
		x.t.Fatalf("open at %v: %+v, %v", at, reset, err)
	}
	x.readers[who] = r
}

func (x *protocolHub) ack(through uint8) {
	if err := x.hub.AckMessages("u", x.position(through)); err != nil {
		x.t.Errorf("ack %d: %v", through, err)
	}
}

func (x *protocolHub) read(who int) (got protocolRead) {
	items, expired := x.readers[who].Read(nil)
	for i := range items {
		n := uint8(items[i].Event.Offset)
		if got.first == 0 {
			got.first = n
		} else if n != got.last+1 {
			x.t.Errorf("message %d after %d", n, got.last)
		}
		got.last = n
	}
	if expired != nil {
		got.expired, got.through = uint8(expired.Count), uint8(expired.Through.Offset)
	}
	return got
}
