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

// sharedStore is the data of a conversation.Store of several nodes. Each node has a storeClient of its own.
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

// storeClient is one node's access to a sharedStore.
type storeClient struct {
	*sharedStore
	// fails decides for each command whether it fails, and if so, whether it was executed and only the answer is lost;
	// nil: no command fails
	fails func() (failed, done bool)
	delay time.Duration // of each command
}

var errCut = fmt.Errorf("the connection is cut: %w", errs.ErrUnavailable)

// do runs a command, unless it is to fail.
func (c *storeClient) do(command func() error) error {
	time.Sleep(c.delay)
	c.mu.Lock()
	defer c.mu.Unlock()
	failed, done := false, true
	if c.fails != nil {
		failed, done = c.fails()
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
func (c *storeClient) onCommand(fails func() (failed, done bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails = fails
}

// cut makes all commands fail, except for the next few.
func (c *storeClient) cut(after int) {
	n := 0
	c.onCommand(func() (bool, bool) {
		n++
		return n > after, false
	})
}

func (c *storeClient) mend() { c.onCommand(nil) }

// count counts commands from now on. The counter is read after synctest.Wait.
func (c *storeClient) count(commands *int) {
	c.onCommand(func() (bool, bool) {
		*commands++
		return false, true
	})
}

func (c *storeClient) LoadConversation(id string) (r *conversation.StoredRecord, err error) {
	err = c.do(func() error {
		if stored, ok := c.records[id]; ok {
			r = &stored
		}
		return nil
	})
	return r, err
}

func (c *storeClient) LatestConversation(owner string) (id string, err error) {
	err = c.do(func() error {
		id = c.latest[owner]
		return nil
	})
	return id, err
}

func (c *storeClient) SaveConversation(r *conversation.StoredRecord, _ conversation.Retention) error {
	return c.do(func() error {
		if c.records[r.ID].Version != r.Version {
			return errs.ErrConflict
		}
		r.Version++
		c.records[r.ID], c.latest[r.Owner] = *r, r.ID
		return nil
	})
}

func (c *storeClient) LockConversation(id string) (unlock func(), err error) {
	var lock chan struct{}
	err = c.do(func() error {
		if c.locks[id] == nil {
			c.locks[id] = make(chan struct{}, 1)
		}
		lock = c.locks[id]
		return nil
	})
	if err != nil {
		return nil, err
	}
	lock <- struct{}{}
	return func() { <-lock }, nil
}

// pair returns two nodes with one store, and their clients of it. The nodes share a hub, as if each followed the
// other's streams and topics without delay.
func pair(t testing.TB, provider hub.Provider) (nodes [2]*node, clients [2]*storeClient) {
	h, store := startHub(t, provider), newSharedStore()
	for i := range nodes {
		clients[i] = &storeClient{sharedStore: store}
		nodes[i] = startOn(t, h, clients[i])
	}
	return nodes, clients
}

// All nodes have the same messages, running answer and owner of a conversation.
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

// If a node dies at any step of concluding an answer, another node publishes the end, once.
func TestNodeDiesWithAnAnswer(t *testing.T) {
	for step := range 5 {
		t.Run(fmt.Sprint("step ", step), func(t *testing.T) {
			hubtest.OwnClock(t, func(t *testing.T) {
				m := newModel()
				nodes, clients := pair(t, m)
				a, b := nodes[0].enter(chat, "u"), nodes[1].enter(chat, "u")
				l := listen(t, nodes[0].hub, chat)
				ask(t, a, "u", "one")
				for range 3 { // each client of the other node has it look
					b.LookAfter()
				}
				clients[0].cut(step)
				m.say(t, "ONE")
				time.Sleep(time.Minute)
				if got := contents(t, b); got != "one ONE" {
					t.Errorf("the messages are %s", got)
				}
				if r, err := b.Record(); r.Running != nil || err != nil {
					t.Errorf("after a minute it is still running: %+v, %v", r.Running, err)
				}
				clients[0].mend() // the node was only disconnected
				time.Sleep(time.Minute)
				l.want("question one", "answered one: ONE")
				if nodes[0].more(l, a) {
					t.Error("the end was published twice")
				}
			})
		})
	}
}

// However often LookAfter is called, for example for old questions that a client reads again, one goroutine watches.
func TestLookAfterIsBounded(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		m := newModel()
		nodes, clients := pair(t, m)
		a, b := nodes[0].enter(chat, "u"), nodes[1].enter(chat, "u")
		commands := 0
		clients[1].count(&commands)
		clients[1].delay = time.Millisecond
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

// If a conversation expires while an answer is running, and another user creates one with its id, the end of the answer
// is not published, and the attempts end.
func TestAnswerOfAnExpiredConversation(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		m := newModel()
		nodes, clients := pair(t, m)
		a, b := nodes[0].enter(chat, "u"), nodes[1].enter(chat, "u")
		ask(t, a, "u", "one")
		b.LookAfter()
		p := m.next(t)
		synctest.Wait()
		clients[0].mu.Lock()
		of := []byte(`{"id":"c","owner":"eve"}`)
		clients[0].records["c"] = conversation.StoredRecord{ID: "c", Owner: "eve", Version: 1, Data: of}
		clients[0].mu.Unlock()
		close(p.pieces)
		time.Sleep(time.Minute)
		b.LookAfter()
		time.Sleep(time.Minute)
		commands := 0
		for _, client := range clients {
			client.count(&commands)
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

// Users ask, cancel and reset on two nodes at the same time, while commands of the store fail, before or after they
// were executed. Each accepted question must have one end, after the question, and in the end no answer is running.
func TestEveryQuestionEndsOnce(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			hubtest.OwnClock(t, func(t *testing.T) { everyQuestionEndsOnce(t, seed) })
		})
	}
}

func everyQuestionEndsOnce(t *testing.T, seed uint64) {
	nodes, clients := pair(t, quick{})
	sessions := [2]*conversation.Session{nodes[0].enter(chat, "u"), nodes[1].enter(chat, "u")}
	l := listen(t, nodes[0].hub, chat)
	if seed%2 == 1 { // every other history has faults
		for i, client := range clients {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			client.onCommand(func() (failed, done bool) { return r.IntN(8) == 0, r.IntN(2) == 0 })
		}
	}
	var accepted sync.Map
	var users sync.WaitGroup
	for user := range 4 {
		users.Go(func() { use(sessions, user, rand.New(rand.NewPCG(seed, uint64(10+user))), &accepted) })
	}
	users.Wait()
	for _, client := range clients {
		client.mend()
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
	accepted.Range(func(question, _ any) bool {
		if q := question.(string); !asked[q] || ends[q] != 1 {
			t.Errorf("%s was published: %v; it has %d ends", q, asked[q], ends[q])
		}
		return true
	})
}

// use makes random requests of one user on both nodes.
func use(sessions [2]*conversation.Session, user int, r *rand.Rand, accepted *sync.Map) {
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
				accepted.Store(content, true)
				for _, s := range sessions {
					s.LookAfter()
				}
			}
		}
		time.Sleep(time.Duration(r.Int64N(int64(20 * time.Millisecond))))
	}
}
