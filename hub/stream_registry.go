package hub

import (
	"cmp"
	"slices"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/lock"
)

// registry finds the streams that this node knows: by id, by the id that their owner gave them, and by the owner's
// slot. No other lock is taken while its mu is held.
type registry struct {
	mu      lock.RWMutex
	byID    map[string]*Stream
	byAlias map[aliasKey]*Stream
	bySlot  map[slotKey]*Stream
	running quota // unfinished streams
}

type aliasKey struct{ owner, id string }

type slotKey struct{ owner, slot string }

func (r *registry) init(l *Limits) {
	r.byID = make(map[string]*Stream)
	r.byAlias = make(map[aliasKey]*Stream)
	r.bySlot = make(map[slotKey]*Stream)
	r.running = quota{
		users: tally{
			usage: usageStreams, name: "unfinished streams of one user (streams_per_user)", limit: l.StreamsPerUser,
		},
		keys: tally{
			usage: usageKeyStreams, name: "unfinished streams of one API key (key_streams)", limit: l.StreamsPerKey,
		},
	}
}

func (r *registry) all() []*Stream {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]*Stream, 0, len(r.byID))
	for _, s := range r.byID {
		all = append(all, s)
	}
	return all
}

// newest returns the streams that match, newest first, at most limit of them.
func (r *registry) newest(limit int, match func(*Stream) bool) []*Stream {
	all := slices.DeleteFunc(r.all(), func(s *Stream) bool { return !match(s) })
	slices.SortFunc(all, func(a, b *Stream) int {
		return cmp.Or(b.created.Compare(a.created), cmp.Compare(b.ID, a.ID))
	})
	return all[:min(limit, len(all))]
}

// find returns the stream of that id, or the one that user created under it as an idempotency id, or nil.
func (r *registry) find(user, id string) *Stream {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if s := r.byID[id]; s != nil {
		return s
	}
	return r.byAlias[aliasKey{user, id}]
}

// aliased returns the stream that owner created under an idempotency id, or nil.
func (r *registry) aliased(owner, id string) *Stream {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byAlias[aliasKey{owner, id}]
}

// add registers s. If its id or alias is in use, it registers nothing and returns the stream that uses it. elsewhere is
// what its holder has on other nodes; nil: no limit applies. Errors: *LimitError.
func (r *registry) add(s *Stream, alias string, elsewhere *remoteUsage) (*Stream, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if alias != "" {
		if old := r.byAlias[aliasKey{s.Owner, alias}]; old != nil {
			return old, nil
		}
	}
	if old := r.byID[s.ID]; old != nil {
		return old, nil
	}
	if elsewhere != nil {
		if err := r.running.check(s.holder(), *elsewhere); err != nil {
			return nil, err
		}
	}
	r.running.enter(s.holder())
	r.byID[s.ID] = s
	if alias != "" {
		key := aliasKey{s.Owner, alias}
		s.aliases = append(s.aliases, key)
		r.byAlias[key] = s
	}
	return nil, nil
}

// addMirror registers a mirror. If its id is in use, it registers nothing and returns the stream that uses it.
func (r *registry) addMirror(s *Stream) *Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.byID[s.ID]; old != nil {
		return old
	}
	r.byID[s.ID] = s
	for _, key := range s.aliases {
		if r.byAlias[key] == nil { // else a newer stream has taken it over
			r.byAlias[key] = s
		}
	}
	return nil
}

// takeSlot puts s into its owner's slot, and returns the stream that was there, or nil.
func (r *registry) takeSlot(s *Stream) *Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.bySlot[s.slot]
	r.bySlot[s.slot] = s
	return old
}

// ended notes that s does not run any longer: it does not count against its holder's limit, and its slot is free.
func (r *registry) ended(s *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running.leave(s.holder())
	if s.slot.slot != "" && r.bySlot[s.slot] == s {
		delete(r.bySlot, s.slot)
	}
}

// resumed notes that s runs again.
func (r *registry) resumed(s *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running.enter(s.holder())
}

// remove removes s, and reports whether it was registered.
func (r *registry) remove(s *Stream) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID[s.ID] != s {
		return false
	}
	delete(r.byID, s.ID)
	for _, key := range s.aliases {
		r.freeAliasLocked(s, key)
	}
	return true
}

// freeAlias has an alias of s no longer name it.
func (r *registry) freeAlias(s *Stream, key aliasKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.freeAliasLocked(s, key)
}

func (r *registry) freeAliasLocked(s *Stream, key aliasKey) {
	if r.byAlias[key] == s { // a newer stream may have taken it over
		delete(r.byAlias, key)
	}
}

// Stream returns the stream of that id, or the one that user started under it as an idempotency id. Errors: ErrNotFound
// if there is none; ErrUnavailable if the store or the node that owns it cannot be asked. Whether the user may read it
// is for the caller to check (AuthorizeRead).
func (h *Hub) Stream(user, id string) (*Stream, error) {
	s := h.streams.find(user, id)
	if !h.cluster.sharesStreams() {
		if s == nil {
			return nil, errs.ErrNotFound
		}
		return s, nil
	}
	if s == nil {
		var err error
		if s, err = h.cluster.mirrorFromStore(user, id); err != nil {
			return nil, err
		}
	}
	s.takeOverIfOrphaned()
	if err := s.awaitSync(); err != nil {
		return nil, err
	}
	return s, nil
}
