//go:build !otlp

package tracing

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/duckwire/duckwire/hub"
)

// Built is "otlp" in a binary with tracing, and "" in one without.
const Built = ""

// Tracing does nothing; it is always nil.
type Tracing struct{}

// Start logs a warning if the environment enables traces.
func Start(logger *slog.Logger, _ string) (*Tracing, error) {
	if _, variable := endpoint(); variable != "" {
		logger.Warn("no traces: this binary was built without them; build one with 'make build TAGS_EXTRA=otlp'", "set",
			variable)
	}
	return nil, nil
}

// Requests returns nil: there is no middleware.
func (*Tracing) Requests() func(http.Handler) http.Handler { return nil }

// Provider returns p.
func (*Tracing) Provider(p hub.Provider) hub.Provider { return p }

// Header returns nil: no header is added to upstream requests.
func (*Tracing) Header() func(context.Context, http.Header) { return nil }

// Close does nothing.
func (*Tracing) Close(context.Context) error { return nil }

// Of returns nil.
func Of(context.Context) any { return nil }
