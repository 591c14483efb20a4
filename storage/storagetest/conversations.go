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

// Conversations tests a conversation.Store. open returns an empty store, and again returns another node's access to
// it.
func Conversations(t *testing.T, open func(t testing.TB) conversation.Store,
	again func(t testing.TB, s conversation.Store) conversation.Store) {
	retention := conversation.Retention{TTL: time.Hour, OfUser: 3}
	save := func(t testing.TB, s conversation.Store, c *conversation.StoredRecord) {
		t.Helper()
		if err := s.SaveConversation(c, retention); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("what is saved is there, on each node", func(t *testing.T) {
		s := open(t)
		wantConversation(t, s, "c1", nil)
		c := &conversation.StoredRecord{ID: "c1", Owner: "ada", Data: []byte("{\"x\":\"\x00\xff🦆\"}")}
		save(t, s, c)
		if c.Version != 1 {
			t.Errorf("the first version is %d", c.Version)
		}
		wantConversation(t, again(t, s), "c1", c)
		c.Data = nil
		save(t, s, c)
		wantConversation(t, s, "c1", c)
	})
	t.Run("only the newest version may be followed", func(t *testing.T) {
		s := open(t)
		c := &conversation.StoredRecord{ID: "c1", Owner: "ada", Data: []byte("1")}
		save(t, s, c)
		for _, version := range []int64{0, 2} {
			if err := s.SaveConversation(&conversation.StoredRecord{ID: "c1", Owner: "eve", Version: version},
				retention); !errors.Is(err, errs.ErrConflict) {
				t.Errorf("version %d: %v", version, err)
			}
		}
		wantConversation(t, s, "c1", c)
		// a node that still has it saves it again
		lost := &conversation.StoredRecord{ID: "c2", Owner: "ada", Version: 7, Data: []byte("2")}
		save(t, s, lost)
		wantConversation(t, s, "c2", lost)
	})
	t.Run("the latest is the one that was saved last", func(t *testing.T) {
		s := open(t)
		wantLatest(t, s, "ada", "")
		all := make([]*conversation.StoredRecord, 5)
		for i := range all {
			all[i] = &conversation.StoredRecord{ID: fmt.Sprint("c", i), Owner: "ada", Data: []byte("x")}
			save(t, s, all[i])
			wantLatest(t, again(t, s), "ada", all[i].ID)
			time.Sleep(2 * time.Millisecond) // they are ordered by time
		}
		for i, c := range all { // the retention is three per user
			if i < 2 {
				wantConversation(t, s, c.ID, nil)
			} else {
				wantConversation(t, s, c.ID, c)
			}
		}
		save(t, s, all[3])
		wantLatest(t, s, "ada", "c3")
		wantLatest(t, s, "bob", "")
	})
	t.Run("one has the lock at a time", func(t *testing.T) {
		s := open(t)
		other := again(t, s)
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
	})
}

func wantConversation(t testing.TB, s conversation.Store, id string, want *conversation.StoredRecord) {
	t.Helper()
	got, err := s.LoadConversation(id)
	if err != nil {
		t.Fatal(err)
	}
	if (got == nil) != (want == nil) || got != nil && (got.ID != want.ID || got.Owner != want.Owner ||
		got.Version != want.Version || string(got.Data) != string(want.Data)) {
		t.Errorf("%s is kept as %+v, want %+v", id, got, want)
	}
}

func wantLatest(t testing.TB, s conversation.Store, owner, want string) {
	t.Helper()
	if got, err := s.LatestConversation(owner); err != nil || got != want {
		t.Errorf("the latest of %s is %q, %v; want %q", owner, got, err, want)
	}
}
