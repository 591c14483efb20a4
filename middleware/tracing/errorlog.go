//go:build otlp

package tracing

import (
	"log/slog"
	"sync"
	"time"

	"github.com/duckwire/duckwire/middleware"
)

// errorLogInterval is the minimum time between log lines: while a collector is down, an export fails every few seconds.
const errorLogInterval = time.Minute

// errorLog logs errors of the SDK, at a limited rate.
type errorLog struct {
	logger *slog.Logger

	mu      sync.Mutex
	last    time.Time
	skipped int // errors not logged since then
}

// Handle implements otel.ErrorHandler.
func (c *errorLog) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.last.IsZero() && now.Sub(c.last) < errorLogInterval {
		c.skipped++
		return
	}
	// LogText: it may contain the body of the collector's answer
	c.logger.Warn("traces", "error", middleware.LogText(err.Error()), "more_since_the_last", c.skipped)
	c.last, c.skipped = now, 0
}
