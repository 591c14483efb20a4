package bench_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/bench"
	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a secret of the tests, longer than 32 bytes"

// duckwire starts a server in this process.
func duckwire(t *testing.T) *bench.Target { return duckwireWith(t, hub.Options{}) }

func duckwireWith(t *testing.T, o hub.Options) *bench.Target {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	o.Logger = logger
	h := hub.New(o)
	t.Cleanup(h.Close)
	v, err := auth.NewVerifier(context.Background(), auth.VerifierOptions{Secret: []byte(secret), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	edge := handlers.New(handlers.Options{
		Hub: h, Verifier: v, Logger: logger,
		Rates: ratelimit.Limits{EventsPerSecond: -1},
	})
	t.Cleanup(edge.Close)
	s := httptest.NewUnstartedServer(edge)
	s.Config.ConnContext = live.KeepConn
	s.Start()
	t.Cleanup(s.Close)
	claims := jwt.MapClaims{
		"sub": "u", "exp": time.Now().Add(time.Hour).Unix(),
		"caps": map[string][]string{"*": {"*"}},
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return target(t, s.URL, token)
}

func target(t *testing.T, url, token string) *bench.Target {
	t.Helper()
	target, err := bench.NewTarget(url, token)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// TestModes runs each mode with small numbers and checks the counts. It does not check times.
func TestModes(t *testing.T) {
	const short = 100 * time.Millisecond
	for name, c := range map[string]struct {
		mode       bench.Scenario
		bare       bool // the bare loop supports it
		deliveries uint64
	}{
		"fanout":        {&bench.Fanout{Readers: 3, Topics: 1, Rate: 100, Payload: 50, Duration: short}, true, 30},
		"fanout topics": {&bench.Fanout{Readers: 4, Topics: 2, Rate: 100, Payload: 50, Duration: short}, true, 20},
		"fanout max": {
			&bench.Fanout{Readers: 4, Topics: 2, Max: true, Batch: 10, Payload: 50, Duration: short},
			true, 0,
		},
		"fanout ws": {&bench.Fanout{
			Readers: 4, Topics: 2, Rate: 100, Payload: 50, Duration: short,
			Over: bench.WebSocket,
		}, true, 20},
		"fanout ws max": {&bench.Fanout{
			Readers: 4, Topics: 2, Max: true, Batch: 10, Payload: 300, Duration: short,
			Over: bench.WebSocket,
		}, true, 0},
		"idle ws": {&bench.Idle{Readers: 3, Settle: short, Over: bench.WebSocket}, true, 0},
		"reconnect ws": {
			&bench.Reconnect{Readers: 3, Missed: 120, Cuts: 2, Payload: 50, Over: bench.WebSocket}, false,
			720,
		},
		"stalled ws": {&bench.Fanout{
			Readers: 3, Topics: 1, Rate: 100, Payload: 50, Duration: short, Stalled: 1,
			Over: bench.WebSocket,
		}, false, 30},
		"stalled": {
			&bench.Fanout{Readers: 3, Topics: 1, Rate: 100, Payload: 50, Duration: short, Stalled: 1},
			false, 30,
		},
		"streams":       {&bench.Streams{Streams: 4, Rate: 50, Batch: 1, Producers: 2, Duration: short}, true, 20},
		"streams batch": {&bench.Streams{Streams: 4, Rate: 50, Batch: 5, Producers: 2, Duration: short}, true, 20},
		"idle":          {&bench.Idle{Readers: 3, Settle: short}, true, 0},
		"reconnect":     {&bench.Reconnect{Readers: 3, Missed: 120, Cuts: 2, Payload: 50}, false, 720},
	} {
		t.Run(name, func(t *testing.T) {
			targets := []*bench.Target{duckwire(t)}
			if c.bare {
				targets = append(targets, serve(t, &bench.BareLoop{Block: 200}))
			}
			for _, target := range targets {
				r, err := (&bench.Bench{Target: target, Rounds: 1}).Run(t.Context(), c.mode)
				if err != nil {
					t.Fatal(err)
				}
				if got := r.Rounds[0].Deliveries; c.deliveries > 0 && got != c.deliveries {
					t.Errorf("%d deliveries, want %d", got, c.deliveries)
				}
				var text strings.Builder
				if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "cores") {
					t.Errorf("report: %v\n%s", err, &text)
				}
			}
		})
	}
}

// TestFaults shows that an error response, and a server that cannot be reached, end the run with an error.
func TestFaults(t *testing.T) {
	mode := &bench.Fanout{Readers: 2, Topics: 1, Rate: 100, Duration: time.Second}
	refused := duckwire(t)
	for name, c := range map[string]struct {
		target *bench.Target
		want   string
	}{
		"no token":  {target(t, "http://"+refused.Addr(), "nonsense"), "401"},
		"no server": {target(t, "http://127.0.0.1:1", ""), "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := (&bench.Bench{Target: c.target, Rounds: 1}).Run(t.Context(), mode)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q in it", err, c.want)
			}
		})
	}
}
