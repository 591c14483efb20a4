package hub_test

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// newHub returns a quiet hub that is closed with the test.
func newHub(t testing.TB, o hub.Options) *hub.Hub {
	t.Helper()
	o.Logger = quiet
	h := hub.New(o)
	t.Cleanup(h.Close)
	return h
}
