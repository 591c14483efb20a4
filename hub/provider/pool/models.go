package pool

import (
	"context"
	"sync"

	"github.com/duckwire/duckwire/hub"
)

// Models merges the members' lists in order: of several models with one id, the first is listed. A member lists only
// what it serves, and one whose list fails is left out. Errors: ctx's, or the first member's if all fail.
func (p *Pool) Models(ctx context.Context) ([]hub.Model, error) {
	lists := make([][]hub.Model, len(p.members))
	failures := make([]error, len(p.members))
	var wg sync.WaitGroup
	for i, m := range p.members {
		wg.Go(func() { lists[i], failures[i] = m.Upstream.Models(ctx) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	merged, seen, answered := []hub.Model{}, map[string]bool{}, false
	for i, m := range p.members {
		answered = answered || failures[i] == nil
		for _, model := range lists[i] {
			if !seen[model.ID] && m.serves(model.ID) {
				seen[model.ID] = true
				merged = append(merged, model)
			}
		}
	}
	if !answered {
		return nil, failures[0]
	}
	return merged, nil
}
