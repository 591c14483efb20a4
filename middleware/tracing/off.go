//go:build !otlp

package tracing

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/duckwire/duckwire/hub"
)

// Built tells of this binary, for people: "otlp", or "" where it cannot trace.
const Built = ""

// Tracing does nothing: nil is the only one.
type Tracing struct{}

// Start warns where traces are wanted.
func Start(logger *slog.Logger, _ string) (*Tracing, error) {
	if _, variable := endpoint(); variable != "" {
		logger.Warn("no traces: this binary was built without them; build one with 'make build TAGS_EXTRA=otlp'", "set", variable)
	}
	return nil, nil
}

// Requests is nil: nothing stands around requests.
func (*Tracing) Requests() func(http.Handler) http.Handler { return nil }

// Provider returns p.
func (*Tracing) Provider(p hub.Provider) hub.Provider { return p }

// Header is nil: nothing is added to what the upstream gets.
func (*Tracing) Header() func(context.Context, http.Header) { return nil }

// Close does nothing.
func (*Tracing) Close(context.Context) error { return nil }

// Of returns nil.
func Of(context.Context) any { return nil }
