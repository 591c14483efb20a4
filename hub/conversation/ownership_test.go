package conversation_test

import (
	"errors"
	"testing"

	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/rights"
)

func identity(t testing.TB, user string, caps map[string][]string) *rights.Identity {
	t.Helper()
	parsed, err := rights.ParseCaps(caps, user)
	if err != nil {
		t.Fatal(err)
	}
	return &rights.Identity{User: user, Caps: parsed}
}

// A pattern in a token covers only the user's own conversations. For those of others, a token must name the topic, or
// be an admin's.
func TestGuard(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		n := start(t, nil)
		n.enter(chat, "ada")
		guard := n.Guard(rights.CapsAuthorizer{})
		for _, tt := range []struct {
			user, pattern, topic string
			action               rights.Action
			allowed              bool
		}{
			{"ada", "conversation:*", chat, rights.ActionSubscribe, true},
			{"ada", "conversation:lobby", chat, rights.ActionSubscribe, true},
			{"ada", "conversation:lobby", chat, rights.ActionPublish, false},
			{"ada", "conversation:lobby", "status:c", rights.ActionSubscribe, true},
			{"ada", "none", chat, rights.ActionSubscribe, false},
			{"eve", "conversation:*", chat, rights.ActionSubscribe, false},
			{"eve", "*", chat, rights.ActionSubscribe, false},
			{"eve", "*", "status:c", rights.ActionSubscribe, false},
			{"eve", "*", "status:none", rights.ActionSubscribe, false}, // of a conversation that may be begun
			{"eve", "*", "conversation:none", rights.ActionSubscribe, true},
			{"eve", "*", "code:x", rights.ActionSubscribe, true},
			{"eve", chat, chat, rights.ActionSubscribe, true},
			{"eve", "conversation:*", "conversation:lobby", rights.ActionSubscribe, true},
		} {
			id := identity(t, tt.user, map[string][]string{tt.pattern: {string(rights.ActionSubscribe)}})
			err := guard.Authorize(t.Context(), id, tt.topic, tt.action)
			if (err == nil) != tt.allowed || err != nil && !errors.Is(err, errs.ErrForbidden) {
				t.Errorf("%s with %s, %s on %s: %v", tt.user, tt.pattern, tt.action, tt.topic, err)
			}
		}
		admin := identity(t, "eve", map[string][]string{"*": {string(rights.ActionAdmin)}})
		if err := guard.Authorize(t.Context(), admin, chat, rights.ActionSubscribe); err != nil {
			t.Errorf("an admin: %v", err)
		}
	})
}

func TestWhoMayCancel(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		m := newModel()
		s := start(t, m).enter(chat, "ada")
		want := func(user string, want rights.Action) {
			t.Helper()
			if got, err := s.ActionToCancel(user); got != want || err != nil {
				t.Errorf("%s needs %s, %v, want %s", user, got, err, want)
			}
		}
		want("eve", rights.ActionComplete) // there is nothing to cancel
		ask(t, s, "bob", "one")
		want("bob", rights.ActionComplete)
		want("ada", rights.ActionComplete)
		want("eve", rights.ActionAdmin)
	})
}

// The lobby is each user's latest conversation.
func TestLobbiesAreApart(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		n := start(t, nil)
		ada, bob := n.enter(conversation.LobbyTopic, "ada"), n.enter(conversation.LobbyTopic, "bob")
		if ada.Topic() == bob.Topic() || ada.Topic() == conversation.LobbyTopic {
			t.Fatalf("the lobbies are %s and %s", ada.Topic(), bob.Topic())
		}
		if again := n.enter(conversation.LobbyTopic, "ada"); again != ada {
			t.Errorf("ada's lobby again is %s", again.Topic())
		}
		later := n.enter("conversation:later", "ada")
		if now := n.enter(conversation.LobbyTopic, "ada"); now != later {
			t.Errorf("ada's lobby is %s, want the latest, %s", now.Topic(), later.Topic())
		}
	})
}

// The rights are checked again if another user creates the conversation in the meantime.
func TestEnterChecksRightsAgain(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		n := start(t, nil)
		checks := 0
		_, _, err := n.Enter(chat, conversation.Entry{User: "eve"}, func() error {
			if checks++; checks == 1 {
				n.enter(chat, "ada")
				return nil
			}
			return errs.ErrForbidden
		})
		if !errors.Is(err, errs.ErrForbidden) || checks != 2 {
			t.Errorf("checked %d times, %v", checks, err)
		}
	})
}
