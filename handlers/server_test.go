package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/storage/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(contractMain{m}) }

// contractMain runs all tests, and then checks that they have received everything that openapi.yaml documents.
type contractMain struct{ m *testing.M }

func (h contractMain) Run() int {
	code := h.m.Run()
	if missing := contractCoverage(); code == 0 && len(missing) > 0 {
		fmt.Printf("FAIL: openapi.yaml promises answers that no test got:\n  %s\n", strings.Join(missing, "\n  "))
		return 1
	}
	return code
}

const testSecret = "a secret of the tests, longer than 32 bytes"

// testServer is a real server on a loopback port, with a client.
type testServer struct {
	*httptest.Server
	t     testing.TB
	hub   *hub.Hub
	edge  *handlers.Edge
	plain *http.Client // its answers are not compared with the contract
}

// startServer starts a server. change may change its options.
func startServer(t testing.TB, provider hub.Provider, limits hub.Limits, change func(*handlers.Options)) *testServer {
	t.Helper()
	return startHub(t, hub.Options{Limits: limits, Provider: provider, Queue: memory.NewQueue()}, change)
}

// startHub is startServer with any options of the hub.
func startHub(t testing.TB, options hub.Options, change func(*handlers.Options)) *testServer {
	t.Helper()
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	logger := options.Logger
	h := hub.New(options)
	verifier, err := auth.NewVerifier(
		context.Background(), auth.VerifierOptions{Secret: []byte(testSecret), Logger: logger},
	)
	if err != nil {
		t.Fatal(err)
	}
	o := handlers.Options{Hub: h, Verifier: verifier, Logger: logger}
	if change != nil {
		change(&o)
	}
	edge := handlers.New(o)
	s := &testServer{Server: hubtest.Server(edge), t: t, hub: h, edge: edge}
	s.Config.ConnContext = live.KeepConn // as cmd/duckwire does
	s.Start()
	s.plain = &http.Client{Transport: hubtest.Transport(s.Server)}
	s.Client().Transport = checked{t: t, next: s.plain.Transport}
	t.Cleanup(func() {
		edge.Close()
		h.Close()
		s.plain.CloseIdleConnections()
		s.Close()
		verifier.Close()
	})
	return s
}

// token signs a token for the user with the capabilities "PATTERN=action,action".
func token(t testing.TB, user string, caps ...string) string {
	t.Helper()
	return tokenFor(t, user, time.Hour, caps...)
}

// tokenFor is token with a lifetime.
func tokenFor(t testing.TB, user string, ttl time.Duration, caps ...string) string {
	t.Helper()
	granted := map[string][]string{}
	for _, c := range caps {
		pattern, actions, _ := strings.Cut(c, "=")
		granted[pattern] = strings.Split(actions, ",")
	}
	text, err := jwt.NewWithClaims(
		jwt.SigningMethodHS256, jwt.MapClaims{"sub": user, "exp": time.Now().Add(ttl).Unix(), "caps": granted},
	).SignedString([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// request creates a request of the user "u", who may do everything, unless headers ("Name: value") say otherwise.
func (s *testServer) request(method, path, body string, headers ...string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body == "" {
		r.Body = nil
	}
	r.Header.Set("Authorization", "Bearer "+token(s.t, "u", "*=*"))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		if name, value, _ := strings.Cut(h, ": "); name != "" { // "" is that of a table's row without one
			r.Header.Set(name, value)
		}
	}
	return r
}

// do sends a request and returns its response, whose body the caller must close.
func (s *testServer) do(method, path, body string, headers ...string) *http.Response {
	s.t.Helper()
	resp, err := s.Client().Do(s.request(method, path, body, headers...))
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// call sends a request, expects a status, and decodes the JSON answer into a T.
func call[T any](s *testServer, want int, method, path, body string, headers ...string) T {
	s.t.Helper()
	resp := s.do(method, path, body, headers...)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var v T
	if resp.StatusCode != want {
		s.t.Fatalf("%s %s: %s, want %d: %s", method, path, resp.Status, want, raw)
	}
	if len(raw) == 0 {
		return v
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		s.t.Fatalf("%s %s: %v in %s", method, path, err, raw)
	}
	return v
}

// streamJSON is the part of a stream's JSON that the tests read.
type streamJSON struct {
	ID, Kind, Owner, Status, Text, Position string
	Topic                                   *string
	At, Bytes, Watchers                     int
	FinishReason                            *string `json:"finish_reason"`
	Usage                                   json.RawMessage
	Error                                   *struct{ Code, Message string }
	Account                                 struct {
		Made      int     `json:"tokens_made"`
		Delivered int     `json:"tokens_delivered"`
		Unwatched int     `json:"tokens_unwatched"`
		EndedBy   *string `json:"ended_by"`
	}
	Reset  *struct{ Reason, Requested, From string }
	Events []struct {
		Event, Position string
		Data            json.RawMessage
	}
}

// problem is the part of an error that the tests read.
type problem struct {
	Status              int
	Code, Field, Detail string
}
