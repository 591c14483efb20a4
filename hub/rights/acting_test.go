package rights_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
)

// key is the identity of an API key.
func key(t testing.TB, caps claim) *rights.Identity {
	return &rights.Identity{User: "backend", TokenID: "backend", Service: true, Caps: mustCaps(t, caps, "backend")}
}

func TestActFor(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	id := key(t, claim{"user:*": {"act"}, "code:{sub}": {"publish"}})
	ada, err := id.ActFor("ada", at)
	if err != nil {
		t.Fatal(err)
	}
	if ada.User != "ada" || ada.Service || ada.TokenID != "backend" || ada.Actor != id || !ada.Issued.Equal(at) ||
		ada.Key() != "backend" || id.Key() != "backend" {
		t.Errorf("%+v", ada)
	}
	if !ada.Caps.Allows("code:backend", "publish") || ada.Caps.Allows("code:ada", "publish") {
		t.Errorf("%v", ada.Caps.Map())
	}
	if same, err := id.ActFor("backend", at); same != id || err != nil {
		t.Errorf("as itself: %+v, %v", same, err)
	}
	token := &rights.Identity{User: "svc", Expires: at, Caps: id.Caps}
	bob, err := token.ActFor("bob", at)
	if err != nil || token.Key() != "" || bob.Key() != "user:svc" || !bob.Expires.Equal(at) {
		t.Errorf("a token acts: %+v, %v", bob, err)
	}
	for user, yes := range map[string]bool{"ada": true, "backend": true, "bob": false, "": false} {
		if ada.Concerns(user) != yes {
			t.Errorf("does it concern %q: %v", user, !yes)
		}
	}
	for _, user := range []string{"", strings.Repeat("x", rights.MaxUser+1), "\xff", "a\nb", "a\u0085b"} {
		if _, err := id.ActFor(user, at); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("%q: %v", user, err)
		}
	}
	for user, caps := range map[string]claim{
		"ada":  {"*": {"subscribe", "publish", "presence", "complete", "produce", "queue"}},
		"ada2": {"user:ada": {"act"}}, "*": {"user:a*": {"act"}}, "bob": {"ada": {"act"}, "user:{sub}": {"*"}},
	} {
		if _, err := key(t, caps).ActFor(user, at); !errors.Is(err, errs.ErrForbidden) {
			t.Errorf("%s by %v: %v", user, caps, err)
		}
	}
}

// TestLists: an action counts by its name, and not as part of others.
func TestLists(t *testing.T) {
	for _, c := range []struct {
		actions []string
		want    bool
	}{
		{[]string{"act"}, true},
		{[]string{"complete", "act"}, true},
		{[]string{"act", "admin"}, true},
		{[]string{"admin"}, false},
		{[]string{"*"}, false},
		{[]string{"complete"}, false},
	} {
		if got := mustCaps(t, claim{"user:*": c.actions}, "u").Lists("user:a", rights.ActionAct); got != c.want {
			t.Errorf("%v: %v", c.actions, got)
		}
	}
	if mustCaps(t, claim{"user:a": {"act"}, "user:*": {"*"}}, "u").Lists("user:b", rights.ActionAct) {
		t.Error("a pattern that does not match")
	}
}

// TestActingHasTheSameRights: for any capabilities, who acts may do what the credential may, on every topic.
func TestActingHasTheSameRights(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		patterns := []string{"*", "user:*", "user:{sub}", "user:ada", "code:*", "code:{sub}:*", "code:ada"}
		raw := claim{}
		for _, p := range patterns {
			if n := rapid.IntRange(0, 2).Draw(r, p); n > 0 {
				raw[p] = []string{string(rapid.SampledFrom(allActions).Draw(r, p+" allows"))}
			}
		}
		id := &rights.Identity{User: "backend", Service: true, Caps: mustCaps(t, raw, "backend")}
		ada, err := id.ActFor("ada", time.Now())
		if (err == nil) != id.Caps.Allows("user:ada", rights.ActionAct) {
			r.Fatalf("%v: %v", raw, err)
		}
		if err != nil {
			return
		}
		for _, topic := range slices.Concat(patterns, []string{"user:backend", "code:backend:1", "code:ada:1"}) {
			for _, a := range allActions {
				if ada.Caps.Allows(topic, a) != id.Caps.Allows(topic, a) {
					r.Fatalf("%v: %s on %s differs", raw, a, topic)
				}
			}
		}
	})
}

// TestRevocationsOfActing: who acts is revoked with its own token, and by a revocation of the user that came later.
func TestRevocationsOfActing(t *testing.T) {
	c := &clock{time.Unix(1_800_000_000, 0)}
	r := openRevocations(t, rights.RevocationOptions{Now: c.Now})
	act := func(id *rights.Identity) *rights.Identity {
		acting, err := id.ActFor("ada", c.now)
		if err != nil {
			t.Fatal(err)
		}
		return acting
	}
	backend := key(t, claim{"user:*": {"act"}})
	svc := &rights.Identity{User: "svc", TokenID: "t", Issued: c.now, Caps: backend.Caps}
	before, other := act(backend), act(svc)
	want := func(what string, id *rights.Identity, revoked bool) {
		t.Helper()
		if r.Revoked(id) != revoked {
			t.Errorf("%s is revoked: %v", what, !revoked)
		}
	}
	c.now = c.now.Add(time.Second)
	for _, revoke := range []func(string, time.Time) (rights.Revocation, error){r.RevokeToken, r.RevokeUser} {
		if _, err := revoke("backend", time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	want("a key that acts, like a key,", before, false)
	if _, err := r.RevokeUser("ada", time.Time{}); err != nil {
		t.Fatal(err)
	}
	want("what began before", before, true)
	want("what a token began before", other, true)
	c.now = c.now.Add(time.Nanosecond)
	want("what begins later", act(backend), false)
	want("what a token begins later", act(svc), false)
	if _, err := r.RevokeToken("t", time.Time{}); err != nil {
		t.Fatal(err)
	}
	want("what a revoked token does", act(svc), true)
	if _, err := r.Lift("", "t"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.RevokeUser("svc", time.Time{}); err != nil {
		t.Fatal(err)
	}
	want("what a token of a revoked user does", act(svc), true)
	want("the key's", act(backend), false)
}
