package conversation_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/rights"
)

// sharedStore is a conversation.Store that several nodes have in common, each through a line of its own.
type sharedStore struct {
	mu      sync.Mutex
	records map[string]conversation.StoredRecord
	latest  map[string]string
	locks   map[string]chan struct{}
}

func newSharedStore() *sharedStore {
	return &sharedStore{
		records: map[string]conversation.StoredRecord{}, latest: map[string]string{}, locks: map[string]chan struct{}{},
	}
}

// line is one node's way to a sharedStore.
type line struct {
	*sharedStore
	// fails is asked about each command: whether it fails, and whether it was done though its answer is lost. nil: none
	// fails.
	fails func() (failed, done bool)
	delay time.Duration // of each command
}

var errCut = fmt.Errorf("the line is cut: %w", errs.ErrUnavailable)

// do runs a command, unless the line fails.
func (l *line) do(command func() error) error {
	time.Sleep(l.delay)
	l.mu.Lock()
	defer l.mu.Unlock()
	failed, done := false, true
	if l.fails != nil {
		failed, done = l.fails()
	}
	var err error
	if !failed || done {
		err = command()
	}
	if failed {
		return errCut
	}
	return err
}

// onCommand sets fails.
func (l *line) onCommand(fails func() (failed, done bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails = fails
}

// cut has all commands fail but for so many.
func (l *line) cut(after int) {
	n := 0
	l.onCommand(func() (bool, bool) {
		n++
		return n > after, false
	})
}

func (l *line) mend() { l.onCommand(nil) }

// count counts commands from now on. The counter is read after synctest.Wait.
func (l *line) count(commands *int) {
	l.onCommand(func() (bool, bool) {
		*commands++
		return false, true
	})
}

func (l *line) LoadConversation(id string) (r *conversation.StoredRecord, err error) {
	err = l.do(func() error {
		if stored, ok := l.records[id]; ok {
			r = &stored
		}
		return nil
	})
	return r, err
}

func (l *line) LatestConversation(owner string) (id string, err error) {
	err = l.do(func() error {
		id = l.latest[owner]
		return nil
	})
	return id, err
}

func (l *line) SaveConversation(c *conversation.StoredRecord, _ conversation.Retention) error {
	return l.do(func() error {
		if l.records[c.ID].Version != c.Version {
			return errs.ErrConflict
		}
		c.Version++
		l.records[c.ID], l.latest[c.Owner] = *c, c.ID
		return nil
	})
}

func (l *line) LockConversation(id string) (unlock func(), err error) {
	var lock chan struct{}
	err = l.do(func() error {
		if l.locks[id] == nil {
			l.locks[id] = make(chan struct{}, 1)
		}
		lock = l.locks[id]
		return nil
	})
	if err != nil {
		return nil, err
	}
	lock <- struct{}{}
	return func() { <-lock }, nil
}

// pair returns two nodes with one store, and their lines to it. They share a hub, as if each followed the other's
// streams and topics without delay.
func pair(t testing.TB, provider hub.Provider) (nodes [2]*node, lines [2]*line) {
	h, store := startHub(t, provider), newSharedStore()
	for i := range nodes {
		lines[i] = &line{sharedStore: store}
		nodes[i] = startOn(t, h, lines[i])
	}
	return nodes, lines
}

// A conversation is the same on all nodes: what was said, what is being answered, and whose it is.
func TestConversationIsSharedByNodes(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		m := newModel()
		nodes, _ := pair(t, m)
		a, b := nodes[0].enter(chat, "u"), nodes[1].enter(chat, "u")
		l := listen(t, nodes[0].hub, chat)
		if err := b.MergeContext("u", object(`{"language":"go"}`)); err != nil {
			t.Fatal(err)
		}
		ask(t, a, "u", "one")
		p := m.next(t)
		if p.write("ON"); !strings.Contains(p.prompt(), `{"language":"go"}`) {
			t.Errorf("the model was asked\n%s", p.prompt())
		}
		ask(t, b, "u", "two")
		if p := m.say(t, "TWO"); !strings.HasSuffix(p.prompt(), "user: one\nassistant: ON\nuser: two") {
			t.Errorf("the model was asked\n%s", p.prompt())
		}
		l.want("context 1", "question one", "cancelled one: superseded by u", "question two", "answered two: TWO")
		ask(t, a, "u", "three")
		m.next(t)
		if n, err := b.Cancel("v"); n != 1 || err != nil {
			t.Errorf("cancelled on the other node: %d, %v", n, err)
		}
		l.want("question three", "cancelled three: cancelled by v")
		if got, same := contents(t, a), contents(t, b); got != "one ON two TWO three" || same != got {
			t.Errorf("the messages are %s and %s", got, same)
		}
		eve := identity(t, "eve", map[string][]string{"*": {string(rights.ActionSubscribe)}})
		err := nodes[1].Guard(rights.CapsAuthorizer{}).Authorize(t.Context(), eve, chat, rights.ActionSubscribe)
		if !errors.Is(err, errs.ErrForbidden) {
			t.Errorf("another user, on the other node: %v", err)
		}
	})
}

// An answer whose node dies, at whichever step of its end, is told by another node, and once.
func TestNodeDiesWithAnAnswer(t *testing.T) {
	for step := range 5 {
		t.Run(fmt.Sprint("step ", step), func(t *testing.T) {
			hubtest.OwnClock(t, func(t *testing.T) {
				m := newModel()
				nodes, lines := pair(t, m)
				a, b := nodes[0].enter(chat, "u"), nodes[1].enter(chat, "u")
				l := listen(t, nodes[0].hub, chat)
				ask(t, a, "u", "one")
				for range 3 { // each client of the other node has it look
					b.LookAfter()
				}
				lines[0].cut(step)
				m.say(t, "ONE")
				time.Sleep(time.Minute)
				if got := contents(t, b); got != "one ONE" {
					t.Errorf("the messages are %s", got)
				}
				if r, err := b.Record(); r.Running != nil || err != nil {
					t.Errorf("after a minute it is still running: %+v, %v", r.Running, err)
				}
				lines[0].mend() // it was not dead, only away
				time.Sleep(time.Minute)
				l.want("question one", "answered one: ONE")
				if nodes[0].more(l, a) {
					t.Error("the end was told twice")
				}
			})
		})
	}
}

// However many old questions a client reads again, one goroutine looks whether there is an answer to be looked after.
func TestLookingIsBounded(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		m := newModel()
		nodes, lines := pair(t, m)
		a, b := nodes[0].enter(chat, "u"), nodes[1].enter(chat, "u")
		commands := 0
		lines[1].count(&commands)
		lines[1].delay = time.Millisecond
		look := func() int {
			synctest.Wait()
			before := commands
			for range 1000 {
				b.LookAfter()
			}
			time.Sleep(time.Second)
			synctest.Wait()
			return commands - before
		}
		if n := look(); n > 2 {
			t.Errorf("with no answer under way: %d commands", n)
		}
		ask(t, a, "u", "one")
		if n := look(); n > 2 {
			t.Errorf("while an answer is under way: %d commands", n)
		}
		m.say(t, "ONE")
		time.Sleep(time.Minute)
		if n := look(); n > 2 {
			t.Errorf("after its end: %d commands", n)
		}
	})
}

// A conversation that was forgotten while an answer was under way, and begun anew by another user, has no more to be
// told, and nobody goes on trying.
func TestAnswerOfAForgottenConversation(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		m := newModel()
		nodes, lines := pair(t, m)
		a, b := nodes[0].enter(chat, "u"), nodes[1].enter(chat, "u")
		ask(t, a, "u", "one")
		b.LookAfter()
		p := m.next(t)
		synctest.Wait()
		lines[0].mu.Lock()
		of := []byte(`{"id":"c","owner":"eve"}`)
		lines[0].records["c"] = conversation.StoredRecord{ID: "c", Owner: "eve", Version: 1, Data: of}
		lines[0].mu.Unlock()
		close(p.pieces)
		time.Sleep(time.Minute)
		b.LookAfter()
		time.Sleep(time.Minute)
		commands := 0
		for _, l := range lines {
			l.count(&commands)
		}
		time.Sleep(time.Hour)
		if synctest.Wait(); commands > 0 {
			t.Errorf("in an hour there were %d commands", commands)
		}
		if _, err := a.Record(); !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("the conversation is %v", err)
		}
	})
}

// Whatever users ask, cancel and reset on two nodes at one time, while commands of the store fail or are done without
// an answer: each question that was taken has one end, behind the question, and at last nothing is under way.
func TestEveryQuestionEndsOnce(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			hubtest.OwnClock(t, func(t *testing.T) { everyQuestionEndsOnce(t, seed) })
		})
	}
}

func everyQuestionEndsOnce(t *testing.T, seed uint64) {
	nodes, lines := pair(t, quick{})
	sessions := [2]*conversation.Session{nodes[0].enter(chat, "u"), nodes[1].enter(chat, "u")}
	l := listen(t, nodes[0].hub, chat)
	if seed%2 == 1 { // every other history has faults
		for i, line := range lines {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			line.onCommand(func() (failed, done bool) { return r.IntN(8) == 0, r.IntN(2) == 0 })
		}
	}
	var taken sync.Map
	var users sync.WaitGroup
	for user := range 4 {
		users.Go(func() { use(sessions, user, rand.New(rand.NewPCG(seed, uint64(10+user))), &taken) })
	}
	users.Wait()
	for _, line := range lines {
		line.mend()
	}
	for _, s := range sessions {
		s.LookAfter()
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	for _, s := range sessions {
		if r, err := s.Record(); r.Running != nil || err != nil {
			t.Errorf("still running: %+v, %v", r.Running, err)
		}
	}
	if _, err := nodes[0].hub.Publish(chat, "u", []hub.EventInput{says("mark", "")}); err != nil {
		t.Fatal(err)
	}
	asked, ends := map[string]bool{}, map[string]int{}
	for ev := l.next(); ev != "mark "; ev = l.next() {
		event, payload, _ := strings.Cut(ev, " ")
		question, _, ended := strings.Cut(payload, ":")
		switch {
		case event == "question":
			asked[payload] = true
		case ended:
			if ends[question]++; ends[question] > 1 {
				t.Errorf("%s has %d ends", question, ends[question])
			}
		}
	}
	taken.Range(func(question, _ any) bool {
		if q := question.(string); !asked[q] || ends[q] != 1 {
			t.Errorf("%s was told: %v; it has %d ends", q, asked[q], ends[q])
		}
		return true
	})
}

// use is what one user does, on both nodes.
func use(sessions [2]*conversation.Session, user int, r *rand.Rand, taken *sync.Map) {
	for i := range 12 {
		s := sessions[r.IntN(2)]
		switch r.IntN(6) {
		case 0:
			_, _ = s.Cancel("u")
		case 1:
			_, _ = s.Reset("u")
		default:
			content := fmt.Sprintf("%d of %d", i, user)
			if _, err := s.Ask(inquiry("u", content)); err == nil {
				taken.Store(content, true)
				for _, s := range sessions {
					s.LookAfter()
				}
			}
		}
		time.Sleep(time.Duration(r.Int64N(int64(20 * time.Millisecond))))
	}
}
