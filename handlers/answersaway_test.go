package handlers_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
)

// roundTrip is an http.RoundTripper that calls a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestAnswersWhileTheKeysAreAway: while the issuer's keys cannot be fetched, every path that needs a token answers 503,
// and tells an EventSource to reconnect.
func TestAnswersWhileTheKeysAreAway(t *testing.T) {
	away := roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("away") })
	v, err := auth.NewVerifier(t.Context(), auth.VerifierOptions{
		JWKSURL: "http://issuer.test/keys", HTTPClient: &http.Client{Transport: away}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jwt.NewWithClaims(
		jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "u", "exp": time.Now().Add(time.Hour).Unix()},
	).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	bearer := "Authorization: Bearer " + signed
	s := startServer(t, scripted(hello), hub.Limits{}, func(o *handlers.Options) { o.Verifier = v })
	for _, p := range contract.paths {
		for method, op := range p.item.Operations() {
			if _, needed := op.Responses.Map()["401"]; needed {
				path := strings.NewReplacer(
					"{id}", "x", "{topic}", "t", "{kind}", "analysis", "{job}", "x", "{user}", "u",
				).Replace(p.template)
				if s.expect(503, method, path, "", bearer).Header.Get("Retry-After") == "" {
					t.Errorf("%s %s: no Retry-After", method, path)
				}
			}
		}
	}
	s.stream("GET", "/v1/events?topic=t", "", bearer).want("bye")
	s.expect(503, "GET", "/socket/websocket?vsn=2.0.0", "", bearer)
	s.expect(503, "GET", "/socket/sse?vsn=2.0.0", "", bearer)
}

// TestAnswersOfCancelledCompletions: a request whose stream another client cancelled gets an error that is not to be
// retried.
func TestAnswersOfCancelledCompletions(t *testing.T) {
	s := startServer(t, scripted(endlessly), hub.Limits{}, nil)
	for path, body := range map[string]string{
		chatPath:              chatBody(`,"duckwire":{"id":"chat"}`),
		"/v1/completions":     `{"prompt":"x","duckwire":{"id":"text"}}`,
		"/v1/fim/completions": `{"prompt":"x","suffix":"y","duckwire":{"id":"fim"}}`,
	} {
		at := s.expect(202, "POST", path, body, "Prefer: respond-async").Header.Get("Location")
		s.expect(200, "DELETE", at, "")
		s.expect(499, "POST", path, body)
	}
}

// silent is a provider whose upstream does not answer.
type silent struct{ scripted }

func (silent) Models(context.Context) ([]hub.Model, error) { return nil, errors.New("no answer") }

func TestAnswersWithoutModels(t *testing.T) {
	startServer(t, silent{hello}, hub.Limits{}, nil).expect(502, "GET", "/v1/models", "")
}

// TestAnswersWhileTheApplicationIsAway: while the application that decides about rights does not answer, requests are
// neither allowed nor forbidden.
func TestAnswersWhileTheApplicationIsAway(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.Authorizer = undecided{} })
	guest := "Authorization: Bearer " + token(t, "guest")
	for _, path := range []string{"/v1/topics/t/events", "/v1/events?topic=t"} {
		s.expect(503, "GET", path, "", guest)
	}
	s.expect(503, "POST", "/v1/topics/t/events", `{"event":"e"}`, guest)
	s.expect(503, "POST", "/v1/streams", `{"topic":"t"}`, guest)
}

// undecided is an Authorizer that cannot decide.
type undecided struct{}

func (undecided) Authorize(context.Context, *rights.Identity, string, rights.Action) error {
	return errs.ErrUnavailable
}

func TestAnswersAtTheCapOfConnections(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.ConnectionsPerUser = 1 })
	s.stream("GET", eventsPath, "").want("hello")
	s.expect(429, "GET", messagesPath+"?format=sse", "")
	resp := s.do("GET", "/v1/events?topic=t", "", "Accept: */*") // not an EventSource: it gets a status
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%s: %s", resp.Status, body)
	}
}
