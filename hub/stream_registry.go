package hub

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/lock"
)

// registry is where streams are found: by id, by the id that their owner gave them, and by the owner's slot.
// Under its mu no other lock is taken.
type registry struct {
	mu      lock.RWMutex
	byID    map[string]*Stream
	byAlias map[aliasKey]*Stream
	bySlot  map[slotKey]*Stream
	running map[string]int // unfinished streams of each owner
}

var errIDTaken = fmt.Errorf("the id is in use for another stream or request: %w", errs.ErrConflict)

type aliasKey struct{ owner, id string }

type slotKey struct{ owner, slot string }

func (r *registry) init() {
	r.byID = make(map[string]*Stream)
	r.byAlias = make(map[aliasKey]*Stream)
	r.bySlot = make(map[slotKey]*Stream)
	r.running = make(map[string]int)
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

// find returns the stream of that id, or the one that user created under it as an idempotency id; nil for neither.
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

// add registers s unless its id or alias is taken: then it returns the stream that has it. limit bounds the owner's
// unfinished streams, of which other nodes have some.
func (r *registry) add(s *Stream, alias string, limit, elsewhere int) (*Stream, error) {
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
	if r.running[s.Owner]+elsewhere >= limit {
		return nil, &errs.LimitError{Kind: errs.ErrLimited, Name: "unfinished streams of one user (streams_per_user)", Limit: int64(limit), Retry: 5 * time.Second}
	}
	r.running[s.Owner]++
	r.byID[s.ID] = s
	if alias != "" {
		key := aliasKey{s.Owner, alias}
		s.aliases = append(s.aliases, key)
		r.byAlias[key] = s
	}
	return nil, nil
}

// takeSlot makes s the stream in its owner's slot, and returns the one that was there.
func (r *registry) takeSlot(s *Stream) *Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.bySlot[s.slot]
	r.bySlot[s.slot] = s
	return old
}

// ended notes that s no longer runs; resumed, that it does so again.
func (r *registry) ended(s *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running[s.Owner]--; r.running[s.Owner] <= 0 {
		delete(r.running, s.Owner)
	}
	if s.slot.slot != "" && r.bySlot[s.slot] == s {
		delete(r.bySlot, s.slot)
	}
}

func (r *registry) resumed(s *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[s.Owner]++
}

// remove forgets s, and reports whether it was known.
func (r *registry) remove(s *Stream) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID[s.ID] != s {
		return false
	}
	delete(r.byID, s.ID)
	for _, key := range s.aliases {
		delete(r.byAlias, key)
	}
	return true
}

// StreamSpec describes a new stream.
type StreamSpec struct {
	ID          string // "": one is made, PREFIX_ULID
	Alias       string // an id of the owner's own, for idempotency; "": none
	Digest      string // of what was asked for: the same id with another digest is ErrConflict
	Kind        string
	Topic       string
	Owner       string
	ContentType string
	Keep        Keep
	Slot        string // at most one unfinished stream of the owner's is in a slot; "": none
	Supersede   Supersede

	provided  bool   // a provider of ours writes it
	requestID string // of whose request it is; "": of none that is known
	job       *job   // of a worker's, or nil
}

// Supersede says what becomes of the stream that a newer one pushes out of its slot.
type Supersede string

// The choices: end it as superseded at once (the default), or let it finish on its own.
const (
	SupersedeStop   Supersede = "stop"
	SupersedeFinish Supersede = "finish"
)

// streamCost is what a stream takes beside its log, about, for accounting: many that are empty fill memory as well.
const streamCost = 2 << 10

// newStream registers a queued stream, or returns the one that has its id already (old is true), where that is the same
// owner's and of the same request.
func (h *Hub) newStream(spec *StreamSpec, meta *CompletionMeta) (s *Stream, old bool, err error) {
	if h.IsDraining() {
		return nil, false, errs.ErrClosed
	}
	if spec.Topic != "" {
		if err := ValidTopic(spec.Topic); err != nil {
			return nil, false, err
		}
	}
	if err := h.makeRoom(); err != nil {
		return nil, false, err
	}
	s = &Stream{
		ID: spec.ID, Kind: spec.Kind, Topic: spec.Topic, Owner: spec.Owner, ContentType: spec.ContentType, Keep: spec.Keep, Completion: meta,
		hub: h, created: time.Now(), provided: meta != nil || spec.provided, requestID: spec.requestID, job: spec.job, digest: spec.Digest, status: StatusQueued,
		startedC: make(chan struct{}), doneC: make(chan struct{}),
	}
	if s.ID == "" {
		s.ID = streamPrefix(spec.Kind) + ulid.Make().String()
	}
	s.log.SetClass(lock.Stream)
	s.log.Init(h.epochs.Next(), nil, &h.encoded)
	if spec.Slot != "" {
		s.slot = slotKey{spec.Owner, spec.Slot}
	}
	if had, err := h.streams.add(s, spec.Alias, h.limits.StreamsPerUser, h.cluster.RemoteUsage(usageStreams, s.Owner)); err != nil {
		return nil, false, err
	} else if had != nil {
		return sameStream(had, s)
	}
	if taken, err := h.addShared(s, spec); err != nil || taken != "" {
		h.withdraw(s)
		if err != nil {
			h.withdrawRecord(s)
			return nil, false, err
		}
		had, err := h.Stream(s.Owner, taken)
		if err != nil {
			return nil, false, err
		}
		return sameStream(had, s)
	}
	h.logBytes.Add(streamCost)
	h.counts.started[kindOf(s)].Add(1)
	h.changedStream(s, false)
	h.supersede(s, spec.Supersede)
	return s, false, nil
}

// addShared registers a new stream for all nodes, and returns the id of the one that has its id or its alias. What was
// in its slot on another node ends. A store that cannot be reached keeps nobody from working: the recorder brings the
// stream there later.
func (h *Hub) addShared(s *Stream, spec *StreamSpec) (taken string, err error) {
	if !h.cluster.sharesStreams() {
		return "", nil
	}
	rec, _ := s.change()
	taken, superseded, err := h.cluster.streams.AddStream(&rec, spec.Slot)
	switch {
	case err != nil && (spec.ID != "" || spec.Alias != ""): // it could be there already
		return "", err
	case err != nil:
		h.logger.Warn("a stream begins on this node alone", "stream", s.ID, "error", err)
	case taken != "":
		return taken, nil
	case superseded != "" && spec.Supersede != SupersedeFinish:
		if old, err := h.Stream(s.Owner, superseded); err == nil && old.isRemote() {
			old.end(StatusSuperseded, supersededBy(s))
		}
	}
	return "", nil
}

// endWithdrawn is the ending of a stream that could not be registered for all nodes.
var endWithdrawn = Ending{Error: &EndError{Code: "conflict", Message: "another node has a stream of that id; ask again"}}

// withdraw takes a stream back that could not be registered for all nodes. Whoever has attached to it meanwhile sees it
// fail.
func (h *Hub) withdraw(s *Stream) {
	h.streams.ended(s)
	h.streams.remove(s)
	s.log.Lock()
	s.remote = new(remote) // nothing of it is saved
	s.showEndLocked(StatusFailed, endWithdrawn)
	h.logBytes.Add(-s.log.Size()) // it is in no list from which it would be evicted
	s.log.UnlockAndWake()
}

// addMirror registers a mirror, or returns the stream that has its id.
func (r *registry) addMirror(s *Stream) *Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.byID[s.ID]; old != nil {
		return old
	}
	r.byID[s.ID] = s
	for _, key := range s.aliases {
		r.byAlias[key] = s
	}
	return nil
}

func sameStream(had, asked *Stream) (*Stream, bool, error) {
	if had.Owner != asked.Owner || had.digest != asked.digest {
		return nil, false, errIDTaken
	}
	return had, true, nil
}

func (h *Hub) supersede(s *Stream, how Supersede) {
	if s.slot.slot == "" {
		return
	}
	if old := h.streams.takeSlot(s); old != nil && how != SupersedeFinish {
		old.end(StatusSuperseded, supersededBy(s))
	}
}

func supersededBy(s *Stream) Ending {
	return Ending{Error: &EndError{Code: "superseded", Message: "a newer request in the same slot took its place"}, by: "stream " + s.ID}
}

func streamPrefix(kind string) string {
	switch kind {
	case "completion":
		return "cmp_"
	case "analysis":
		return "ana_"
	}
	return "str_"
}

// streamEnded is called once for each end of a stream. It logs the stream's account.
func (h *Hub) streamEnded(s *Stream) {
	h.streams.ended(s)
	if s.job != nil {
		h.jobs.remove(s.job)
	}
	h.leaveResult(s, s.Status())
	if !h.logger.Enabled(h.ctx, slog.LevelInfo) {
		return
	}
	st := s.State()
	attrs := []slog.Attr{
		slog.String("stream", s.ID), slog.String("kind", s.Kind), slog.String("owner", s.Owner), slog.String("status", string(st.Status)),
		slog.Int("tokens_made", st.Account.Made), slog.Int("tokens_delivered", st.Account.Delivered), slog.Int("tokens_unwatched", st.Account.Unwatched),
		slog.Int64("duration_ms", st.Timings.Ended.Sub(st.Timings.Created).Milliseconds()),
	}
	if !st.Timings.FirstToken.IsZero() {
		attrs = append(attrs, slog.Int64("first_token_ms", st.Timings.FirstToken.Sub(st.Timings.Created).Milliseconds()))
	}
	if s.requestID != "" {
		attrs = append(attrs, slog.String("request_id", s.requestID))
	}
	if st.Account.EndedBy != "" {
		attrs = append(attrs, slog.String("ended_by", st.Account.EndedBy))
	}
	if e := st.Ending.Error; e != nil {
		attrs = append(attrs, slog.String("error", e.Code))
	}
	h.logger.LogAttrs(h.ctx, slog.LevelInfo, "stream ended", attrs...)
}

// Stream returns the stream of that id, or the one that user started under it as an idempotency id. ErrNotFound where
// there is none. Whether the user may read it is the caller's to check (Stream.ReadableBy).
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
		if s, err = h.findShared(user, id); err != nil {
			return nil, err
		}
	}
	h.settleRemote(s)
	if err := s.settled(); err != nil {
		return nil, err
	}
	return s, nil
}

// Streams returns the streams that this node knows for which keep says yes, newest first, at most limit of them.
func (h *Hub) Streams(limit int, keep func(*Stream) bool) []*Stream {
	all := slices.DeleteFunc(h.streams.all(), func(s *Stream) bool { return !keep(s) })
	slices.SortFunc(all, func(a, b *Stream) int {
		return cmp.Or(b.created.Compare(a.created), cmp.Compare(b.ID, a.ID))
	})
	return all[:min(limit, len(all))]
}
