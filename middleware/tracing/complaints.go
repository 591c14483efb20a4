//go:build otlp

package tracing

import (
	"log/slog"
	"sync"
	"time"

	"github.com/duckwire/duckwire/middleware"
)

// complaintEvery is how often the log tells that traces get lost: a collector that is away fails every few seconds.
const complaintEvery = time.Minute

// complaints logs what the SDK could not do.
type complaints struct {
	logger *slog.Logger

	mu      sync.Mutex
	last    time.Time
	skipped int // since then
}

// Handle implements otel.ErrorHandler.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.last.IsZero() && now.Sub(c.last) < complaintEvery {
		c.skipped++
		return
	}
	c.logger.Warn("traces", "error", middleware.LogText(err.Error()), "more_since_the_last", c.skipped) // it may hold a page that the collector answered with
	c.last, c.skipped = now, 0
}
