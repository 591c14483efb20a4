package handlers

import (
	"context"
	"encoding/json"
	"maps"
	"time"

	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// callRates tells other nodes what was taken from limits that all share.
const callRates = "rates"

// shareRatesInterval is how often. A burst that comes to several nodes at one time is counted so much later.
const shareRatesInterval = time.Second

// maxSharedKeys is how many keys of a limit are told of at one time; more are an attack, which each node refuses for itself.
const maxSharedKeys = 10_000

// shareRates has this node and the others allow together what one would, until ctx ends. On one node it does nothing.
func (s *server) shareRates(ctx context.Context) {
	if s.hub.Node() == "" {
		return
	}
	shared := s.rates.Shared()
	shared["failures"] = s.auth.Failures.Limiter()
	for _, limiter := range shared {
		limiter.Share()
	}
	s.hub.OnCall(callRates, func(body []byte) ([]byte, error) {
		var told map[string]map[string]int
		if err := json.Unmarshal(body, &told); err != nil {
			return nil, err
		}
		for name, spent := range told {
			for key, n := range spent {
				shared[name].Count(key, n) // one of another version's is nil
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

// sendSpentRates tells the other nodes what was taken here since the last time.
func (s *server) sendSpentRates(shared map[string]*ratelimit.Limiter) {
	told := make(map[string]map[string]int)
	for name, limiter := range shared {
		spent := limiter.Spent()
		maps.DeleteFunc(spent, func(string, int) bool { return len(spent) > maxSharedKeys })
		if len(spent) > 0 {
			told[name] = spent
		}
	}
	if len(told) > 0 {
		body, _ := json.Marshal(told) // of strings and numbers
		s.hub.TellAll(callRates, body)
	}
}
