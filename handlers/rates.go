package handlers

import (
	"context"
	"encoding/json"
	"maps"
	"time"

	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// callRates tells other nodes what was counted against shared rate limits.
const callRates = "rates"

// shareRatesInterval is the interval of these calls. Other nodes count a burst with this delay.
const shareRatesInterval = time.Second

// maxSharedKeys is the maximum number of keys of one limit in a call. More keys indicate an attack, against which each
// node applies its own limit.
const maxSharedKeys = 10_000

// shareRates makes all nodes together allow what one node would, until ctx ends. On a single node it does nothing.
func (s *server) shareRates(ctx context.Context) {
	if s.hub.Node() == "" {
		return
	}
	shared := s.rates.Shared()
	shared["failures"] = s.auth.Failures.Limiter()
	for _, limiter := range shared {
		limiter.Share()
	}
	s.hub.Cluster().OnCall(callRates, func(body []byte) ([]byte, error) {
		var counts map[string]map[string]int
		if err := json.Unmarshal(body, &counts); err != nil {
			return nil, err
		}
		for name, spent := range counts {
			for key, n := range spent {
				shared[name].Count(key, n) // nil for a limit that this version does not know; Count ignores it
			}
		}
		return nil, nil
	})
	s.sharedRates.Go(func() {
		tick := time.NewTicker(shareRatesInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				s.sendSpentRates(shared)
			}
		}
	})
}

// sendSpentRates tells the other nodes what was counted here since the last call.
func (s *server) sendSpentRates(shared map[string]*ratelimit.Limiter) {
	counts := make(map[string]map[string]int)
	for name, limiter := range shared {
		spent := limiter.Spent()
		maps.DeleteFunc(spent, func(string, int) bool { return len(spent) > maxSharedKeys })
		if len(spent) > 0 {
			counts[name] = spent
		}
	}
	if len(counts) > 0 {
		body, _ := json.Marshal(counts) // strings and numbers always encode
		s.hub.Cluster().Broadcast(callRates, body)
	}
}
