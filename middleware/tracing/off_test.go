//go:build !otlp

package tracing_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/middleware/tracing"
)

// TestWithoutTheTag: a binary without traces logs a warning if the environment enables them, and wraps nothing.
func TestWithoutTheTag(t *testing.T) {
	for _, name := range []string{"", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		t.Run(name, func(t *testing.T) {
			want := 0
			if name != "" {
				t.Setenv(name, "http://user:a-secret@127.0.0.1:4318")
				want = 1
			}
			var logged strings.Builder
			traces, err := tracing.Start(slog.New(slog.NewTextHandler(&logged, nil)), "v1")
			if err != nil || traces != nil || traces.Requests() != nil || traces.Header() != nil ||
				tracing.Of(t.Context()) != nil {
				t.Errorf("%v, %v", traces, err)
			}
			if got := logged.String(); strings.Count(got, "TAGS_EXTRA=otlp") != want ||
				strings.Count(got, "\n") != want || strings.Contains(got, "a-secret") {
				t.Errorf("logged: %s", got)
			}
		})
	}
}
