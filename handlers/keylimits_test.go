package handlers_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// keyCaps are the API keys of startKeyed, by name.
var keyCaps = map[string]string{
	"plain":   "",                                         // as keys are by default
	"backend": ";*=complete|produce|publish;user:*=act",   // acts for everybody
	"team":    ";*=complete|produce;user:team-*=act",      // acts for some
	"actor":   ";user:*=act;user:{sub}=*;own:{sub}:*=act", // acts, and may do nothing else
	"root":    ";*=*",
}

// keyOf is the text of a key of startKeyed, as a header.
func keyOf(name string) string {
	return "Authorization: Bearer dwk_" + name + strings.Repeat("0", 43-len(name))
}

// startKeyed starts a server that takes API keys beside tokens.
func startKeyed(t *testing.T, provider hub.Provider, limits hub.Limits, change func(*handlers.Options)) *testServer {
	t.Helper()
	return startServer(t, provider, limits, withKeys(t, change))
}

// withKeys returns a change of options after which a server takes the API keys of keyCaps.
func withKeys(t *testing.T, change func(*handlers.Options)) func(*handlers.Options) {
	t.Helper()
	var lines []string
	for name, caps := range keyCaps {
		lines = append(lines, name+"="+strings.TrimPrefix(keyOf(name), "Authorization: Bearer ")+caps)
	}
	keys, err := auth.ParseAPIKeys(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := auth.NewVerifier(context.Background(), auth.VerifierOptions{
		Secret: []byte(testSecret), APIKeys: keys, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return func(o *handlers.Options) {
		o.Verifier = v
		if change != nil {
			change(o)
		}
	}
}

// times sends a request n times, and expects a status each time.
func (s *testServer) times(n, status int, method, path, body string, headers ...string) {
	s.t.Helper()
	for range n {
		s.expect(status, method, path, body, headers...)
	}
}

// forUser is the header by which a key says for whom a request is.
func forUser(name string) string { return "Duckwire-User: " + name }

// TestKeysAreNotUsers: with the default limits, a key starts more completions and has more unfinished streams than a
// user may.
func TestKeysAreNotUsers(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startKeyed(t, scripted(hello), hub.Limits{}, nil)
		user := as(t, "ada", "*=*")
		s.times(150, 200, "POST", chatPath, chatBody(""), keyOf("plain"))
		s.times(100, 200, "POST", chatPath, chatBody(""), user)
		s.expect(429, "POST", chatPath, chatBody(""), user)
		s.times(150, 201, "POST", "/v1/streams", `{}`, keyOf("plain"))
		s.times(100, 201, "POST", "/v1/streams", `{}`, user)
		s.wantLimited("streams_per_user", 100, 5, "POST", "/v1/streams", `{}`, user)
	})
}

// TestKeysAreLimited: each limit of a key, which those of another key and of users do not count against.
func TestKeysAreLimited(t *testing.T) {
	proxies, err := middleware.ParseProxies([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startKeyed(t, scripted(hello), hub.Limits{StreamsPerUser: 1, StreamsPerKey: 2}, func(o *handlers.Options) {
			o.Proxies, o.ConnectionsPerUser, o.ConnectionsPerKey, o.ConnectionsPerAddress = proxies, 1, 2, 1
			o.Rates = ratelimit.Limits{
				HeavyPerMinute: 1, KeyHeavyPerMinute: 2, KeyFactor: 2, EventsPerSecond: 1, QueuePerSecond: 1,
				CursorsPerSecond: 1, JoinsPerMinute: 1,
			}
		})
		key, from := keyOf("plain"), "X-Forwarded-For: 198.51.100.1"
		batch := func(n int, more string) string {
			one := `{"event":"e"` + more + `}`
			return "[" + strings.Repeat(one+",", n-1) + one + "]"
		}
		s.times(2, 200, "POST", chatPath, chatBody(""), key)
		s.wantLimited("key_heavy_per_minute", 2, 30, "POST", "/v1/analyses", `{"project":"42"}`, key)
		s.times(2, 201, "POST", "/v1/streams", `{}`, key)
		s.wantLimited("key_streams", 2, 5, "POST", "/v1/streams", `{}`, key)
		s.expect(200, "POST", eventsPath, batch(20, ""), key)
		s.wantLimited("events of one API key a second (key_factor)", 2, 1, "POST", eventsPath, batch(1, ""), key)
		s.expect(200, "POST", eventsPath, batch(20, `,"ephemeral":true`), key)
		s.wantLimited("cursor-like events of one API key's requests a second (key_factor)", 2, 1,
			"POST", eventsPath, batch(1, `,"ephemeral":true`), key)
		s.expect(201, "POST", "/v1/users/ada/messages", batch(20, ""), key)
		s.wantLimited("messages that one API key leaves a second (key_factor)", 2, 1,
			"POST", "/v1/users/ada/messages", batch(1, ""), key)
		for range 2 { // from one address, which does not limit keys
			s.stream("GET", eventsPath, "", key, from).want("hello")
		}
		s.wantLimited("key_connections", 2, 5, "GET", "/v1/users/me/messages?wait=5", "", key, from,
			"Accept: application/json")
		if bye := s.stream("GET", "/v1/events?topic=a", "", key).want("bye"); bye.data != `{"reason":"overloaded"}` {
			t.Errorf("a third join in a minute: %+v", bye)
		}

		other := keyOf("root")
		s.expect(200, "POST", chatPath, chatBody(""), other)
		s.expect(201, "POST", "/v1/streams", `{}`, other)
		s.expect(200, "POST", eventsPath, batch(1, ""), other)
		s.stream("GET", eventsPath, "", as(t, "ada", "*=*"), from).want("hello")
	})
}

// TestUsersOfAKeyAreLimited: a user for whom a key acts has a user's limits, which are not those of other users; what
// all of them do counts against the key's as well, and what a user is refused does not.
func TestUsersOfAKeyAreLimited(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startKeyed(t, scripted(hello), hub.Limits{StreamsPerUser: 2, StreamsPerKey: 5}, func(o *handlers.Options) {
			o.Rates = ratelimit.Limits{HeavyPerMinute: 2, KeyHeavyPerMinute: 5}
			o.ConnectionsPerUser, o.ConnectionsPerKey = 1, 2
		})
		key := keyOf("backend")
		for n, status := range []int{200, 200, 429, 429, 429, 429} {
			s.expect(status, "POST", chatPath, chatBody(fmt.Sprintf(`,"seed":%d`, n)), key, forUser("ada"))
		}
		s.expect(429, "POST", chatPath, chatBody(""), as(t, "ada", "*=complete")) // it is ada's limit
		s.times(2, 200, "POST", chatPath, chatBody(`,"user":"bob"`), key)
		s.expect(429, "POST", chatPath, chatBody(`,"user":"bob"`), key)
		s.expect(200, "POST", chatPath, chatBody(""), key) // the fifth, for itself
		s.wantLimited("key_heavy_per_minute", 5, 12, "POST", "/v1/analyses", `{"project":"42"}`, key, forUser("cyd"))

		for _, user := range []string{"ada", "bob"} {
			s.times(2, 201, "POST", "/v1/streams", `{}`, key, forUser(user))
			s.wantLimited("streams_per_user", 2, 5, "POST", "/v1/streams", `{}`, key, forUser(user))
		}
		s.wantLimited("streams_per_user", 2, 5, "POST", "/v1/streams", `{}`, as(t, "ada", "*=produce"))
		s.expect(201, "POST", "/v1/streams", `{}`, key)
		s.wantLimited("key_streams", 5, 5, "POST", "/v1/streams", `{}`, key, forUser("cyd"))
		own := call[struct{ Streams []streamJSON }](s, 200, "GET", "/v1/streams?status=queued", "", key, forUser("ada"))
		if len(own.Streams) != 2 {
			t.Fatalf("%+v", own)
		}
		s.expect(200, "DELETE", "/v1/streams/"+own.Streams[0].ID, "", key, forUser("ada"))
		s.expect(201, "POST", "/v1/streams", `{}`, key, forUser("ada")) // ended ones count nowhere

		for _, user := range []string{"ada", "bob"} {
			s.stream("GET", messagesPath, "", key, forUser(user)).want("hello")
		}
		s.wantLimited("connections_per_user", 1, 5, "GET", messagesPath+"?wait=5", "", key, forUser("ada"))
		s.wantLimited("key_connections", 2, 5, "GET", messagesPath+"?wait=5", "", key, forUser("cyd"))
	})
}

// TestKeysAreLimitedOverNodes: what a key has on another node counts, also what it has for users.
func TestKeysAreLimitedOverNodes(t *testing.T) {
	nodes := startNodesWith(t, 2, hub.Limits{StreamsPerKey: 2}, withKeys(t, func(o *handlers.Options) {
		o.ConnectionsPerKey = 2
	}))
	key, here, there := keyOf("backend"), nodes[0], nodes[1]
	there.expect(201, "POST", "/v1/streams", `{}`, key, forUser("ada"))
	there.stream("GET", messagesPath, "", key, forUser("ada")).want("hello")
	for _, name := range []string{"key_streams", "key_connections"} {
		hubtest.Until(t, name+" of the other node to be known", func() bool {
			return here.hub.Cluster().RemoteUsage(name, "backend") == 1
		})
	}
	here.expect(201, "POST", "/v1/streams", `{}`, key)
	here.stream("GET", messagesPath, "", key, forUser("bob")).want("hello")
	for _, r := range []struct{ method, path, body string }{
		{"POST", "/v1/streams", `{}`},
		{"GET", messagesPath + "?wait=5", ""},
	} {
		here.expect(429, r.method, r.path, r.body, key)
		here.expect(429, r.method, r.path, r.body, key, forUser("cyd"))
	}
	here.expect(201, "POST", "/v1/streams", `{}`, as(t, "cyd", "*=produce"))
}
