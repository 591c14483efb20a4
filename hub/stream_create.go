package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/lock"
	"github.com/duckwire/duckwire/hub/log"
)

// errStillDeleting: the store has yet to delete an earlier stream of the same id.
var errStillDeleting = fmt.Errorf("an earlier stream of this id is being deleted; try again: %w", errs.ErrUnavailable)

var errIDTaken = fmt.Errorf("the id is in use for another stream or request: %w", errs.ErrConflict)

// StreamSpec describes a new stream.
type StreamSpec struct {
	ID          string // "": one is made, PREFIX_ULID
	Alias       string // an id of the owner's own, for idempotency; "": none
	Digest      string // of the request: the same id with another digest is ErrConflict
	Kind        string
	Topic       string
	Owner       string
	Key         string // the server that asked, whose limit counts too (rights.Identity.Key); Owner: for itself
	ContentType string
	Idle        IdlePolicy
	Slot        string // a slot of the owner's holds at most one unfinished stream; "": none
	Supersede   Supersede
	Asked       json.RawMessage // a JSON value of the caller's, which Stream.Asked returns on all nodes; nil: none

	provided  bool   // this node's provider writes it
	requestID string // of the request that starts it; "" if it has none
	job       *job   // if a worker writes it; else nil
}

// Supersede says what happens to the stream that a newer one replaces in its slot.
type Supersede string

// The choices: end it as superseded at once (the default), or let it run to its end.
const (
	SupersedeStop   Supersede = "stop"
	SupersedeFinish Supersede = "finish"
)

// streamCost is about how many bytes a stream takes beside its log. It is counted because many empty streams use memory
// as well.
const streamCost = 2 << 10

// newStream registers a queued stream. If its id or alias is in use, it returns the stream that uses it (old is true),
// provided that it is of the same owner and request. Errors: ErrClosed while draining, ErrConflict, *LimitError,
// *FieldError; among several nodes also ErrUnavailable.
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
	if err := h.StoreError(); err != nil && (spec.ID != "" || spec.Alias != "") && h.cluster.sharesStreams() {
		return nil, false, fmt.Errorf("whether the id is in use cannot be checked: %w", err) // registerShared would fail
	}
	s = h.queuedStream(spec, meta)
	h.freeVainAlias(spec)
	if had, err := h.register(s, spec.Alias); err != nil {
		return nil, false, err
	} else if had != nil {
		return sameStream(had, s)
	}
	h.logBytes.Add(s.log.Size())
	if h.recorder.isDeleting(s.ID) {
		s.unregister(false)
		return nil, false, errStillDeleting
	}
	if taken, err := s.registerShared(spec); err != nil || taken != "" {
		s.unregister(err != nil)
		if err != nil {
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
	h.recorder.markChanged(s, false)
	s.enterSlot(spec.Supersede)
	return s, false, nil
}

// queuedStream returns a queued stream that is not registered yet.
func (h *Hub) queuedStream(spec *StreamSpec, meta *CompletionMeta) *Stream {
	s := &Stream{
		ID: spec.ID, Kind: spec.Kind, Topic: spec.Topic, Owner: spec.Owner, Key: spec.Key,
		ContentType: spec.ContentType, Idle: spec.Idle, Completion: meta,
		hub: h, created: time.Now(), provided: meta != nil || spec.provided, requestID: spec.requestID, job: spec.job,
		digest: spec.Digest, status: StatusQueued, startedC: make(chan struct{}), doneC: make(chan struct{}),
	}
	if s.ID == "" {
		s.ID = streamPrefix(spec.Kind) + ulid.Make().String()
	}
	s.log.SetClass(lock.Stream)
	s.log.Init(h.epochs.Next(), nil, &h.encoded)
	if spec.Asked != nil {
		s.log.Append(&log.Event{Kind: log.AskedEvent, Name: AskedName, Data: spec.Asked, Time: s.created})
	}
	if spec.Slot != "" {
		s.slot = slotKey{spec.Owner, spec.Slot}
	}
	return s
}

// register registers a new stream on this node. If its id or alias is in use, it returns the stream that uses it. At
// the limit of the owner's unfinished streams, it cancels one that nobody watches any longer: whoever leaves many
// completions, as editors do at each key, is not refused the next one.
func (h *Hub) register(s *Stream, alias string) (had *Stream, err error) {
	elsewhere := h.streams.running.elsewhere(h.cluster, s.holder())
	had, err = h.streams.add(s, alias, &elsewhere)
	for _, match := range []func(*Stream) bool{
		func(old *Stream) bool { return old.Owner == s.Owner },
		func(old *Stream) bool { return s.Key != "" && old.Key == s.Key },
	} {
		if errors.Is(err, errs.ErrLimited) && h.cancelAbandoned(match) {
			had, err = h.streams.add(s, alias, &elsewhere)
		}
	}
	return had, err
}

// registerShared registers a new stream in the store that the nodes share. If its id or alias is in use there, it
// returns the id of the stream that uses it. If another node's stream is in its slot, that one ends. After an error the
// store may have the new stream all the same.
//
// If the store cannot be reached, a stream whose id was made here begins all the same: the recorder adds it to the
// store later. One whose id or alias the client chose is refused: another node may have a stream of that id.
func (s *Stream) registerShared(spec *StreamSpec) (taken string, err error) {
	h := s.hub
	if !h.cluster.sharesStreams() {
		return "", nil
	}
	rec, _ := s.change()
	taken, superseded, err := h.cluster.streams.AddStream(&rec, spec.Slot, "")
	if err == nil && taken != "" && s.mayReplace(taken) {
		taken, superseded, err = h.cluster.streams.AddStream(&rec, spec.Slot, taken)
	}
	switch {
	case err != nil && (spec.ID != "" || spec.Alias != ""):
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

// mayReplace reports whether a new stream may take over the alias of the stream with that id: one of the same request
// that is vain.
func (s *Stream) mayReplace(id string) bool {
	if id == s.ID { // its id is taken, not its alias
		return false
	}
	old, err := s.hub.Stream(s.Owner, id)
	return err == nil && old.isVainFor(s.digest)
}

// endWithdrawn is the ending of a stream that could not be registered for all nodes.
var endWithdrawn = Ending{
	Error: &EndError{Code: "conflict", Message: "another node has a stream of that id; ask again"},
}

// unregister removes a stream from this node that could not be registered for all nodes. A client that has attached to
// it meanwhile sees it fail. maybeStored says that the store may have it all the same: then its id stays in use until the
// store has deleted it.
func (s *Stream) unregister(maybeStored bool) {
	h := s.hub
	h.streams.ended(s)
	s.log.Lock()
	s.remote = new(remote) // it has no mirror, and nothing is appended to it
	s.endMirrorLocallyLocked(StatusFailed, endWithdrawn)
	h.logBytes.Add(-s.log.Size()) // eviction does not find it any longer
	s.log.UnlockAndWake()
	if maybeStored {
		h.recorder.withdraw(s)
	}
	h.streams.remove(s)
}

// sameStream returns a stream whose id was asked for again, if it is of the same owner and request.
func sameStream(had, asked *Stream) (*Stream, bool, error) {
	if had.Owner != asked.Owner || had.digest != asked.digest {
		return nil, false, errIDTaken
	}
	return had, true, nil
}

// enterSlot puts the stream into its slot, if it has one, and ends the stream that was there unless how is
// SupersedeFinish.
func (s *Stream) enterSlot(how Supersede) {
	if s.slot.slot == "" {
		return
	}
	if old := s.hub.streams.takeSlot(s); old != nil && how != SupersedeFinish {
		old.end(StatusSuperseded, supersededBy(s))
	}
}

func supersededBy(s *Stream) Ending {
	return Ending{
		Error: &EndError{Code: "superseded", Message: "a newer request in the same slot took its place"},
		by:    "stream " + s.ID,
	}
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
