package storagetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/errs"
)

var conversationRetention = conversation.Retention{TTL: time.Hour, OfUser: 3}

type conversationSuite struct {
	open  func(t testing.TB) conversation.Store
	again func(t testing.TB, s conversation.Store) conversation.Store
}

// Conversations tests a conversation.Store. open returns an empty store, and again returns another node's access to
// it.
func Conversations(t *testing.T, open func(t testing.TB) conversation.Store,
	again func(t testing.TB, s conversation.Store) conversation.Store,
) {
	suite := conversationSuite{open, again}
	t.Run("a saved record can be loaded on each node", suite.allNodes)
	t.Run("only the newest version can be replaced", suite.versions)
	t.Run("the latest is the one that was saved last", suite.latest)
	t.Run("the lock is exclusive", suite.locks)
}

func (suite conversationSuite) allNodes(t *testing.T) {
	s := suite.open(t)
	wantConversation(t, s, "c1", nil)
	c := &conversation.StoredRecord{ID: "c1", Owner: "ada", Data: []byte("{\"x\":\"\x00\xff🦆\"}")}
	saveConversation(t, s, c)
	if c.Version != 1 {
		t.Errorf("the first version is %d", c.Version)
	}
	wantConversation(t, suite.again(t, s), "c1", c)
	c.Data = nil
	saveConversation(t, s, c)
	wantConversation(t, s, "c1", c)
}

func (suite conversationSuite) versions(t *testing.T) {
	s := suite.open(t)
	c := &conversation.StoredRecord{ID: "c1", Owner: "ada", Data: []byte("1")}
	saveConversation(t, s, c)
	for _, version := range []int64{0, 2} {
		if err := s.SaveConversation(&conversation.StoredRecord{ID: "c1", Owner: "eve", Version: version},
			conversationRetention); !errors.Is(err, errs.ErrConflict) {
			t.Errorf("version %d: %v", version, err)
		}
	}
	wantConversation(t, s, "c1", c)
	// a record that the store has lost, saved again by a node that still has it
	lost := &conversation.StoredRecord{ID: "c2", Owner: "ada", Version: 7, Data: []byte("2")}
	saveConversation(t, s, lost)
	wantConversation(t, s, "c2", lost)
}

func (suite conversationSuite) latest(t *testing.T) {
	s := suite.open(t)
	wantLatest(t, s, "ada", "")
	all := make([]*conversation.StoredRecord, 5)
	for i := range all {
		all[i] = &conversation.StoredRecord{ID: fmt.Sprint("c", i), Owner: "ada", Data: []byte("x")}
		saveConversation(t, s, all[i])
		wantLatest(t, suite.again(t, s), "ada", all[i].ID)
		time.Sleep(2 * time.Millisecond) // they are ordered by time
	}
	for i, c := range all { // conversationRetention is three per user
		if i < 2 {
			wantConversation(t, s, c.ID, nil)
		} else {
			wantConversation(t, s, c.ID, c)
		}
	}
	saveConversation(t, s, all[3])
	wantLatest(t, s, "ada", "c3")
	wantLatest(t, s, "bob", "")
}

func (suite conversationSuite) locks(t *testing.T) {
	s := suite.open(t)
	other := suite.again(t, s)
	var work sync.WaitGroup
	var inside, times atomic.Int64
	for i := range 10 {
		work.Go(func() {
			unlock, err := []conversation.Store{s, other}[i%2].LockConversation("c1")
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n != 1 {
				t.Errorf("%d have the lock", n)
			}
			times.Add(1)
			inside.Add(-1)
			unlock()
		})
	}
	work.Wait()
	if n := times.Load(); n != 10 {
		t.Errorf("%d had the lock", n)
	}
	unlock, err := s.LockConversation("c1")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	free, err := other.LockConversation("c2")
	if err != nil {
		t.Fatal(err)
	}
	free()
}

func saveConversation(t testing.TB, s conversation.Store, c *conversation.StoredRecord) {
	t.Helper()
	if err := s.SaveConversation(c, conversationRetention); err != nil {
		t.Fatal(err)
	}
}

func wantConversation(t testing.TB, s conversation.Store, id string, want *conversation.StoredRecord) {
	t.Helper()
	got, err := s.LoadConversation(id)
	if err != nil {
		t.Fatal(err)
	}
	if (got == nil) != (want == nil) || got != nil && (got.ID != want.ID || got.Owner != want.Owner ||
		got.Version != want.Version || string(got.Data) != string(want.Data)) {
		t.Errorf("%s is stored as %+v, want %+v", id, got, want)
	}
}

func wantLatest(t testing.TB, s conversation.Store, owner, want string) {
	t.Helper()
	if got, err := s.LatestConversation(owner); err != nil || got != want {
		t.Errorf("the latest of %s is %q, %v; want %q", owner, got, err, want)
	}
}
