package rights_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/storage/memory"
)

// clock is a clock that the test sets.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func openRevocations(t *testing.T, o rights.RevocationOptions) *rights.Revocations {
	t.Helper()
	r, err := rights.NewRevocations(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRevocationsOfAUser(t *testing.T) {
	c := &clock{time.Unix(1_800_000_000, 700_000_000)}
	store := &memory.Revocations{}
	o := rights.RevocationOptions{Store: store, TTL: time.Hour, Now: c.Now}
	r := openRevocations(t, o)
	second := c.now.Truncate(time.Second)
	ada := func(issued time.Time) *rights.Identity {
		return &rights.Identity{User: "ada", TokenID: "t", Issued: issued}
	}
	if r.Revoked(ada(second)) {
		t.Error("revoked before anything was")
	}
	if _, err := r.RevokeUser("ada", time.Time{}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*rights.Revocations{r, openRevocations(t, o)} { // and after a restart
		for what, c := range map[string]struct {
			id      *rights.Identity
			revoked bool
		}{
			"issued long before":        {ada(second.Add(-time.Hour)), true},
			"issued in that second":     {ada(second), true},
			"that does not tell when":   {ada(time.Time{}), true},
			"issued in the next second": {ada(second.Add(time.Second)), false},
			"of somebody else":          {&rights.Identity{User: "bob"}, false},
			"of the same name as a key": {&rights.Identity{User: "ada", Service: true}, false},
		} {
			if got := r.Revoked(c.id); got != c.revoked {
				t.Errorf("a token %s: revoked=%v", what, got)
			}
		}
	}
	c.now = c.now.Add(time.Hour)
	if r.Revoked(ada(second)) {
		t.Error("it is kept for longer than a token may live")
	}
	if _, ok := r.Get("ada", ""); ok {
		t.Error("it is still told")
	}
	if _, err := r.RevokeToken("other", time.Time{}); err != nil { // this drops expired revocations, also in the store
		t.Fatal(err)
	}
	_ = store.LoadRevocations(func(one rights.Revocation) error {
		if one.User == "ada" {
			t.Error("the store has it still")
		}
		return nil
	})
}

func TestRevocationsOfATokenAndLifted(t *testing.T) {
	c := &clock{time.Unix(1_800_000_000, 0)}
	o := rights.RevocationOptions{Store: &memory.Revocations{}, TTL: time.Hour, Now: c.Now}
	r := openRevocations(t, o)
	one := &rights.Identity{User: "ada", TokenID: "t1", Issued: c.now.Add(time.Minute)}
	if _, err := r.RevokeToken("t1", c.now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if !r.Revoked(one) || r.Revoked(&rights.Identity{User: "ada", TokenID: "t2"}) ||
		r.Revoked(&rights.Identity{User: "ada"}) {
		t.Error("not this token alone")
	}
	again, err := r.RevokeToken("t1", c.now.Add(time.Second))
	if err != nil || !again.Until.Equal(c.now.Add(time.Minute)) {
		t.Errorf("%+v, %v: it became shorter", again, err)
	}
	if _, err := r.Lift("t1", ""); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("%v for a user of that name", err)
	}
	if _, err := r.Lift("", "t1"); err != nil || r.Revoked(one) || openRevocations(t, o).Revoked(one) {
		t.Errorf("%v, and it holds", err)
	}
}

func TestRevocationsAreBounded(t *testing.T) {
	c := &clock{time.Unix(1_800_000_000, 0)}
	r := openRevocations(t, rights.RevocationOptions{TTL: time.Hour, Max: 3, Now: c.Now})
	for _, until := range []time.Time{c.now, c.now.Add(-time.Second), c.now.Add(time.Hour + time.Second)} {
		if _, err := r.RevokeUser("ada", until); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("until %s: %v", until, err)
		}
	}
	for i := range 3 {
		if _, err := r.RevokeToken(fmt.Sprint(2-i), c.now.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.RevokeUser("ada", time.Time{}); !errors.Is(err, errs.ErrLimited) {
		t.Fatal(err)
	}
	if _, err := r.RevokeToken("1", time.Time{}); err != nil {
		t.Error("one that is known:", err)
	}
	c.now = c.now.Add(time.Second) // two of them expire
	if _, err := r.RevokeUser("ada", time.Time{}); err != nil {
		t.Fatal(err)
	}
	list, more := r.List(1)
	if len(list) != 1 || list[0].User != "ada" || !more {
		t.Errorf("%+v, %v", list, more)
	}
	if list, more = r.List(10); len(list) != 2 || list[1].TokenID != "1" || more {
		t.Errorf("%+v, %v", list, more)
	}
}

// broken is a store that cannot save anything.
type broken struct{ memory.Revocations }

func (*broken) SaveRevocation(rights.Revocation) error { return errs.ErrUnavailable }
func (*broken) DeleteRevocation(string, string) error  { return errs.ErrUnavailable }

// A revocation that cannot be saved is in force all the same, and returns an error.
func TestRevocationsWhileTheStoreIsBroken(t *testing.T) {
	r := openRevocations(t, rights.RevocationOptions{Store: &broken{}})
	id := &rights.Identity{User: "ada"}
	if _, err := r.RevokeUser("ada", time.Time{}); !errors.Is(err, errs.ErrUnavailable) || !r.Revoked(id) {
		t.Errorf("%v, revoked=%v", err, r.Revoked(id))
	}
	if _, err := r.Lift("ada", ""); !errors.Is(err, errs.ErrUnavailable) || !r.Revoked(id) {
		t.Errorf("%v, revoked=%v", err, r.Revoked(id))
	}
}
