package hub

import (
	"slices"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// maxSearched is the maximum number of an owner's newest streams on other nodes that ResumedCompletion looks at.
const maxSearched = 100

// ResumedCompletion returns the owner's stream of the same request that has the position p. With an alias, it must be
// the stream of that alias. Errors: ErrNotFound if there is none; ErrConflict if the alias names the stream of another
// request; ErrUnavailable if another node's stream cannot be asked for.
func (h *Hub) ResumedCompletion(spec StreamSpec, p log.Position) (*Stream, error) {
	owner := spec.Owner
	has := func(s *Stream) bool {
		return s.Owner == owner && s.digest == spec.Digest && s.knows(p.Epoch) && s.CatchUp(p) == nil &&
			s.ResetAt(p) == nil
	}
	if spec.Alias != "" {
		s, err := h.Stream(owner, spec.Alias)
		switch {
		case err != nil:
			return nil, err
		case s.Owner != owner || s.digest != spec.Digest:
			return nil, errIDTaken
		case !has(s):
			return nil, errs.ErrNotFound
		}
		return s, nil
	}
	for _, s := range h.streams.all() {
		if has(s) {
			return s, nil
		}
	}
	if !h.cluster.sharesStreams() {
		return nil, errs.ErrNotFound
	}
	elsewhere, err := h.cluster.streams.StreamsOf(owner, maxSearched)
	if err != nil {
		return nil, err
	}
	for i := range elsewhere {
		if rec := &elsewhere[i].Record; rec.Digest != spec.Digest || !hasEpoch(rec.Epoch, rec.Before, p.Epoch) {
			continue
		}
		if s, err := h.Stream(owner, elsewhere[i].Record.ID); err == nil && has(s) {
			return s, nil
		}
	}
	return nil, errs.ErrNotFound
}

// knows reports whether an epoch is one of the stream's log.
func (s *Stream) knows(epoch string) bool {
	s.log.Lock()
	defer s.log.Unlock()
	return hasEpoch(s.log.Epoch(), s.log.Before(), epoch)
}

func hasEpoch(now string, before []log.Position, epoch string) bool {
	return now == epoch || slices.ContainsFunc(before, func(p log.Position) bool { return p.Epoch == epoch })
}
