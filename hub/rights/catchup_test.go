package rights_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/storage/memory"
)

// unreliable is a store that can be made unreachable, and that can lose its next answer.
type unreliable struct {
	memory.Revocations
	mu     sync.Mutex
	away   bool
	silent bool // the next change is made, but its answer is lost
	loads  atomic.Int64
}

func (s *unreliable) set(away, silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away, s.silent = away, silent
}

func (s *unreliable) losesAnswer() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silent
}

func (s *unreliable) change(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errs.ErrUnavailable
	}
	if err := f(); err != nil || !s.silent {
		return err
	}
	s.silent = false
	return errs.ErrUnavailable
}

func (s *unreliable) SaveRevocation(r rights.Revocation) error {
	return s.change(func() error { return s.Revocations.SaveRevocation(r) })
}

func (s *unreliable) DeleteRevocation(user, tokenID string) error {
	return s.change(func() error { return s.Revocations.DeleteRevocation(user, tokenID) })
}

func (s *unreliable) LoadRevocations(f func(rights.Revocation) error) error {
	s.loads.Add(1)
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	if away {
		return errs.ErrUnavailable
	}
	return s.Revocations.LoadRevocations(f)
}

// A revocation that was made while the store was unreachable stays in force over reloads. It is saved when the store is
// back, and then announced to the other nodes.
func TestRevokedWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unreliable{}
		o := rights.RevocationOptions{Store: store}
		r := openRevocations(t, o)
		announced := 0
		r.Follow(nil, func() { announced++ })
		id := &rights.Identity{User: "ada", TokenID: "t1"}
		store.set(true, false)
		if _, err := r.RevokeToken("t1", time.Time{}); !errors.Is(err, errs.ErrUnavailable) {
			t.Fatal(err)
		}
		if err := r.Reload(); !errors.Is(err, errs.ErrUnavailable) || !r.Revoked(id) || !r.Stale() {
			t.Errorf("a reload that fails: %v, revoked=%v, stale=%v", err, r.Revoked(id), r.Stale())
		}
		time.Sleep(time.Hour)
		if n := store.loads.Load(); n < 100 || n > 1000 {
			t.Errorf("the store was asked %d times within an hour", n)
		}
		store.set(false, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !r.Revoked(id) || !openRevocations(t, o).Revoked(id) {
			t.Errorf("when the store is back: revoked=%v, after a restart %v",
				r.Revoked(id), openRevocations(t, o).Revoked(id))
		}
		if r.Stale() {
			t.Error("it is stale still")
		}
		if announced != 1 {
			t.Errorf("announced %d times", announced)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Close saves what can be saved, and its error reports what cannot.
func TestCloseSavesRevocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unreliable{away: true}
		r, other := openAway(t, store), openAway(t, store)
		_, _ = r.RevokeUser("ada", time.Time{})
		_, _ = other.RevokeUser("bob", time.Time{})
		if err := other.Close(); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("what is lost is not told: %v", err)
		}
		store.set(false, false)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		again := openRevocations(t, rights.RevocationOptions{Store: store})
		if !again.Revoked(&rights.Identity{User: "ada"}) {
			t.Error("it was not saved")
		}
	})
}

// openAway opens Revocations of a store that becomes unreachable right after.
func openAway(t *testing.T, store *unreliable) *rights.Revocations {
	store.set(false, false)
	r := openRevocations(t, rights.RevocationOptions{Store: store})
	store.set(true, false)
	return r
}

// When two nodes revoke the same subject at the same time, the one that is saved last does not weaken the other.
func TestRevocationsOfTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unreliable{}
		here := openRevocations(t, rights.RevocationOptions{Store: store})
		there := openRevocations(t, rights.RevocationOptions{Store: store})
		store.set(true, false)
		first, _ := here.RevokeUser("ada", time.Time{})
		time.Sleep(time.Minute)
		issued := time.Now()
		store.set(false, false)
		second, err := there.RevokeUser("ada", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		there.Take(first, false) // the message arrives late
		if err := there.Reload(); err != nil {
			t.Fatal(err)
		}
		for name, r := range map[string]*rights.Revocations{
			"here": here, "there": there, "after a restart": openRevocations(t, rights.RevocationOptions{Store: store}),
		} {
			if one, _ := r.Get("ada", ""); !one.Issued.Equal(second.Issued) || !one.Until.Equal(second.Until) {
				t.Errorf("%s: %+v, want %+v", name, one, second)
			}
			if !r.Revoked(&rights.Identity{User: "ada", Issued: issued}) {
				t.Errorf("%s: the tokens that the second one revoked are good again", name)
			}
		}
		_ = here.Close()
		_ = there.Close()
	})
}

// Messages of other nodes may arrive late and in any order: the state of the store decides.
func TestRevocationMessagesArriveLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unreliable{}
		here := openRevocations(t, rights.RevocationOptions{Store: store})
		there := openRevocations(t, rights.RevocationOptions{Store: store})
		revoked, _ := there.RevokeToken("t1", time.Time{})
		lifted, err := there.Lift("", "t1")
		if err != nil {
			t.Fatal(err)
		}
		here.TakeLift(lifted)
		here.Take(revoked, false)
		id := &rights.Identity{User: "ada", TokenID: "t1"}
		if !here.Revoked(id) {
			t.Error("what was revoked does not count at once")
		}
		time.Sleep(time.Minute)
		if here.Revoked(id) {
			t.Error("it was lifted, and counts still")
		}
		again, _ := there.RevokeToken("t1", time.Time{})
		here.Take(again, false)
		here.TakeLift(lifted)
		if time.Sleep(time.Minute); !here.Revoked(id) {
			t.Error("it was revoked again, and does not count")
		}
		_ = here.Close()
		_ = there.Close()
	})
}

// After a store has lost its data, its nodes write their revocations to it again.
func TestRevocationsOfAStoreThatLostThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := memory.NewCluster(memory.ClusterOptions{})
		nodes := make([]*rights.Revocations, 2)
		for i, name := range []string{"a", "b"} {
			n := c.Node(name)
			defer n.Close()
			nodes[i] = openRevocations(t, rights.RevocationOptions{Store: n})
		}
		if _, err := nodes[0].RevokeToken("t1", time.Time{}); err != nil {
			t.Fatal(err)
		}
		c.Stop()
		c.StartEmpty()
		for _, r := range nodes {
			if err := r.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		late := c.Node("c")
		defer late.Close()
		id := &rights.Identity{User: "ada", TokenID: "t1"}
		for _, r := range append(nodes, openRevocations(t, rights.RevocationOptions{Store: late})) {
			if !r.Revoked(id) {
				t.Error("it was revoked, and counts no more")
			}
		}
	})
}

// losesBetween is a shared store that loses its data once, between the reading of its revocations and of their
// generation.
type losesBetween struct {
	memory.Revocations
	generation int
	loses      bool
}

func (s *losesBetween) RevocationsGeneration() (string, error) {
	if s.loses {
		s.loses, s.generation = false, s.generation+1
		s.Revocations = memory.Revocations{}
	}
	return fmt.Sprint("g", s.generation), nil
}

func TestStoreThatLosesRevocationsWhileTheyAreRead(t *testing.T) {
	store := &losesBetween{}
	r := openRevocations(t, rights.RevocationOptions{Store: store})
	for _, id := range []string{"here", "elsewhere"} {
		if err := store.SaveRevocation(rights.Revocation{TokenID: id, Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.RevokeToken("here", time.Time{}); err != nil {
		t.Fatal(err)
	}
	store.loses = true
	for range 2 {
		if err := r.Reload(); err != nil {
			t.Fatal(err)
		}
		for _, r := range []*rights.Revocations{r, openRevocations(t, rights.RevocationOptions{Store: store})} {
			if !r.Revoked(&rights.Identity{TokenID: "here"}) || !r.Revoked(&rights.Identity{TokenID: "elsewhere"}) {
				t.Error("a revocation is lost")
			}
		}
	}
}

// A node that hears of a revocation which another could not save saves it as well, since the other may end.
func TestUnsavedRevocationOfAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unreliable{}
		here := openAway(t, store)
		other := openAway(t, store)
		one, _ := other.RevokeUser("ada", time.Time{})
		here.Take(one, true)
		_ = other.Close() // without having saved it
		store.set(false, false)
		time.Sleep(time.Minute)
		if !openRevocations(t, rights.RevocationOptions{Store: store}).Revoked(&rights.Identity{User: "ada"}) {
			t.Error("it ended with the node that made it")
		}
		_ = here.Close()
	})
}

// During a reload, no revoked token is accepted.
func TestReloadHasNoGap(t *testing.T) {
	store := &memory.Revocations{}
	until := time.Now().Add(time.Hour)
	for n := range 5000 {
		_ = store.SaveRevocation(rights.Revocation{TokenID: fmt.Sprint("t", n), Until: until})
	}
	r := openRevocations(t, rights.RevocationOptions{Store: store})
	var passed, looks atomic.Int64
	stop := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		id := &rights.Identity{User: "ada", TokenID: "t4999"}
		for {
			select {
			case <-stop:
				return
			default:
			}
			looks.Add(1)
			if !r.Revoked(id) {
				passed.Add(1)
			}
		}
	})
	for n := 0; n < 50 || looks.Load() < 1000; n++ {
		if err := r.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	work.Wait()
	if passed.Load() > 0 {
		t.Errorf("a revoked token passed %d of %d times", passed.Load(), looks.Load())
	}
}

// bubbled is a test without a deadline: the deadline is in real time, which a synctest bubble does not have.
type bubbled struct{ testing.TB }

// revocationModel is one node, a store that fails, and another node that changes the store, whose messages may be lost.
type revocationModel struct {
	t     *rapid.T
	store *unreliable
	node  *rights.Revocations
	away  bool
	must  map[string]time.Time // what must be revoked, and until when
	may   map[string]time.Time // what may be revoked, and until when; nothing else
	saved map[string]time.Time // what was reported as saved: it must be there after a restart
}

// modelTTL is short, since rapid limits a test to a day, here in the bubble's time.
const modelTTL = 2 * time.Minute

func (m *revocationModel) subject() (name, user, token string) {
	name = rapid.SampledFrom([]string{"u1", "u2", "t1", "t2"}).Draw(m.t, "subject")
	if name[0] == 'u' {
		return name, name, ""
	}
	return name, "", name
}

func revoke(r *rights.Revocations, user, token string, until time.Time) (rights.Revocation, error) {
	if user != "" {
		return r.RevokeUser(user, until)
	}
	return r.RevokeToken(token, until)
}

// note records that name is in the set until then, at the least.
func (m *revocationModel) note(in map[string]time.Time, name string, until time.Time) {
	if until.After(in[name]) {
		in[name] = until
	}
}

func (m *revocationModel) revoke() {
	name, user, token := m.subject()
	until := time.Now().Add(time.Duration(rapid.IntRange(1, 120).Draw(m.t, "seconds")) * time.Second)
	one, err := revoke(m.node, user, token, until)
	if err != nil && !errors.Is(err, errs.ErrUnavailable) {
		m.t.Fatal(err)
	}
	m.note(m.must, name, one.Until)
	m.note(m.may, name, one.Until)
	if err == nil {
		m.note(m.saved, name, one.Until)
	}
}

func (m *revocationModel) lift() {
	name, user, token := m.subject()
	silent := m.store.losesAnswer()
	switch _, err := m.node.Lift(user, token); {
	case err == nil:
		delete(m.must, name)
		delete(m.may, name)
		delete(m.saved, name)
	case errors.Is(err, errs.ErrNotFound):
		if until := m.must[name]; until.After(time.Now()) {
			m.t.Fatalf("%s is revoked until %v, and cannot be found", name, until)
		}
	case silent && !m.away: // the store did it, but the answer was lost
		delete(m.must, name)
		delete(m.saved, name)
	}
}

// other makes the other node revoke or lift something in the store, and announce it to this node or not.
func (m *revocationModel) other() {
	name, user, token := m.subject()
	if m.away || m.store.losesAnswer() {
		return
	}
	announced := rapid.Bool().Draw(m.t, "announced")
	if rapid.Bool().Draw(m.t, "lift") {
		lifted := stored(m.store, user, token)
		_ = m.store.DeleteRevocation(user, token)
		delete(m.must, name)
		delete(m.saved, name)
		if mine, exists := m.node.Get(user, token); announced {
			m.node.TakeLift(lifted)
			time.Sleep(11 * time.Second)  // more than the longest retry delay
			if exists && mine == lifted { // otherwise this node has one that the other could not know of
				delete(m.may, name)
			}
		}
		return
	}
	one := rights.Revocation{User: user, TokenID: token, Until: time.Now().Add(modelTTL)}
	if user != "" {
		one.Issued = time.Now()
	}
	if err := m.store.SaveRevocation(one); err != nil {
		m.t.Fatal(err)
	}
	m.note(m.may, name, one.Until)
	m.note(m.saved, name, one.Until)
	if announced {
		m.node.Take(one, false)
		m.note(m.must, name, one.Until)
	}
}

// stored returns the store's revocation of a user or a token.
func stored(store rights.RevocationStore, user, token string) (found rights.Revocation) {
	_ = store.LoadRevocations(func(one rights.Revocation) error {
		if one.User == user && one.TokenID == token {
			found = one
		}
		return nil
	})
	return found
}

func (m *revocationModel) reload() {
	if err := m.node.Reload(); err == nil {
		for name, until := range m.saved {
			m.note(m.must, name, until)
		}
	}
}

func (m *revocationModel) check(r *rights.Revocations, what string, must map[string]time.Time) {
	now := time.Now()
	for _, name := range []string{"u1", "u2", "t1", "t2"} {
		id := &rights.Identity{User: name}
		if name[0] == 't' {
			id = &rights.Identity{User: "nobody", TokenID: name}
		}
		revoked := r.Revoked(id)
		if now.Before(must[name]) && !revoked {
			m.t.Fatalf("%s: %s was revoked until %v, and is good again", what, name, must[name])
		}
		if !now.Before(m.may[name]) && revoked {
			m.t.Fatalf("%s: %s is revoked", what, name)
		}
	}
}

// TestRevocationModel checks that a revocation stays in force until it is lifted or expires, and that a lifted one does
// not come back, whatever fails.
func TestRevocationModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbled{t}, func(t *rapid.T) {
			store := &unreliable{}
			node, err := rights.NewRevocations(rights.RevocationOptions{Store: store, TTL: modelTTL})
			if err != nil {
				t.Fatal(err)
			}
			m := &revocationModel{
				t: t, store: store, node: node,
				must: map[string]time.Time{}, may: map[string]time.Time{}, saved: map[string]time.Time{},
			}
			t.Repeat(map[string]func(*rapid.T){
				"revoke": func(*rapid.T) { m.revoke() },
				"lift":   func(*rapid.T) { m.lift() },
				"other":  func(*rapid.T) { m.other() },
				"reload": func(*rapid.T) { m.reload() },
				"store": func(t *rapid.T) {
					m.away = rapid.Bool().Draw(t, "away")
					store.set(m.away, rapid.Bool().Draw(t, "loses an answer"))
				},
				"time": func(t *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
				},
				"": func(*rapid.T) { m.check(node, "now", m.must) },
			})
			store.set(false, false)
			time.Sleep(15 * time.Second) // longer than a retry delay, so everything is saved
			m.check(node, "with the store", m.must)
			again, err := rights.NewRevocations(rights.RevocationOptions{Store: store, TTL: modelTTL})
			if err != nil {
				t.Fatal(err)
			}
			m.check(again, "after a restart", m.must)
			m.check(again, "after a restart", m.saved)
			if err := node.Close(); err != nil {
				t.Error(err)
			}
		})
	})
}
