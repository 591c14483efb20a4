package hub

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/lock"
	"github.com/duckwire/duckwire/hub/log"
)

// recordEvery is the pause between two saves: a stored stream lags its live one by no more, while the store answers.
const recordEvery = 250 * time.Millisecond

// recorder saves streams in the store. It collects the streams that changed, and saves them in batches from a goroutine
// of its own. A hub without a store has none: nil, whose methods markChanged and forget may be called.
type recorder struct {
	store  StreamStore
	logger *slog.Logger
	wake   *log.Wake // there are urgent streams

	work    sync.WaitGroup
	stop    chan struct{} // closed by Hub.Close
	closing sync.Once

	mu      lock.Mutex
	changed map[*Stream]struct{}
	deleted map[string]struct{} // ids; each stays until the store has deleted it
	// urgent are the streams to be saved at once, and only they: if each urgent save took all changed streams, their
	// lag would depend on how often streams end.
	urgent map[*Stream]*flush
	err    error // of the last save; nil when it succeeded
}

// flush is one urgent save, which several callers may wait for.
type flush struct {
	done   chan struct{}
	failed bool // set before done is closed
}

func newRecorder(store StreamStore, logger *slog.Logger) *recorder {
	return &recorder{
		store: store, logger: logger, wake: log.NewWake(), stop: make(chan struct{}),
		changed: make(map[*Stream]struct{}), deleted: make(map[string]struct{}), urgent: make(map[*Stream]*flush),
	}
}

// markChanged notes that s has changes to save; they are saved at once if urgent. It takes no lock but the recorder's,
// so s.log may be locked.
func (r *recorder) markChanged(s *Stream, urgent bool) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.changed[s] = struct{}{}
	r.mu.Unlock()
	if urgent {
		r.saveSoon(s)
	}
}

// saveSoon makes s urgent, and returns the save that will include it.
func (r *recorder) saveSoon(s *Stream) *flush {
	r.mu.Lock()
	f := r.urgent[s]
	if f == nil {
		f = &flush{done: make(chan struct{})}
		r.urgent[s] = f
	}
	r.mu.Unlock()
	r.wake.Signal()
	return f
}

// flush saves the present state of s, and waits for it. Errors match ErrUnavailable.
func (r *recorder) flush(s *Stream) error {
	f := r.saveSoon(s)
	select {
	case <-f.done:
		if !f.failed {
			return nil
		}
	case <-r.stop:
	}
	return errOwnerUnreachable
}

// forget has the store delete s.
func (r *recorder) forget(s *Stream) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.changed, s)
	r.deleted[s.ID] = struct{}{}
}

// withdraw has the store save the end of a stream that could not be registered, and delete it then. The registration
// may have reached the store although its answer did not reach this node: then other nodes may have found the stream
// and wait for its end, and its id would stay in use.
func (r *recorder) withdraw(s *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed[s] = struct{}{}
	r.deleted[s.ID] = struct{}{}
}

// isDeleting reports whether the store may still have a stream of this id that is to be deleted. Until it has not, no
// other stream may have the id: it would be mixed up with the first one in the store, and deleted with it.
func (r *recorder) isDeleting(id string) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, is := r.deleted[id]
	return is
}

// StoreError returns why streams cannot be saved at the moment, or nil.
func (h *Hub) StoreError() error {
	r := h.recorder
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// run saves until stop is closed, and once more then.
func (r *recorder) run() {
	tick := time.NewTicker(recordEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.stop:
			r.save(true)
			return
		case <-tick.C:
			r.save(true)
		case <-r.wake.C:
			r.save(false)
		}
	}
}

// nextBatch returns what to save now: all changes, or only those of urgent streams.
func (r *recorder) nextBatch(all bool) (changed map[*Stream]struct{}, deleted []string, urgent map[*Stream]*flush) {
	r.mu.Lock()
	defer r.mu.Unlock()
	urgent, r.urgent = r.urgent, make(map[*Stream]*flush)
	changed = make(map[*Stream]struct{})
	if all {
		changed, r.changed = r.changed, changed
		return changed, slices.Collect(maps.Keys(r.deleted)), urgent
	}
	for s := range urgent {
		if _, ok := r.changed[s]; ok {
			changed[s] = struct{}{}
			delete(r.changed, s)
		}
	}
	return changed, nil, urgent
}

// save saves one batch. What could not be saved goes into the next one.
func (r *recorder) save(all bool) {
	changed, deleted, urgent := r.nextBatch(all)
	defer func() {
		for s, f := range urgent {
			_, f.failed = changed[s]
			close(f.done)
		}
	}()
	if len(changed) == 0 && len(deleted) == 0 {
		return
	}
	changes := make([]StreamChange, 0, len(changed))
	upTo := make(map[*Stream]uint64, len(changed))
	for s := range changed {
		change, to := s.change()
		changes = append(changes, change)
		upTo[s] = to
	}
	changed, err := applySave(upTo, r.store.Save(changes))
	if err == nil && len(deleted) > 0 {
		for s := range changed { // deleted now, it would be there again after its next save
			deleted = slices.DeleteFunc(deleted, func(id string) bool { return id == s.ID })
		}
		err = r.store.Delete(deleted)
	}
	if err != nil {
		deleted = nil
	}
	r.finish(err, changed, deleted)
}

// applySave notes in the streams what the store has of them after a save that returned err, and returns those that must
// be saved again. upTo has the last entry of each that was to be saved.
func applySave(upTo map[*Stream]uint64, err error) (again map[*Stream]struct{}, _ error) {
	var failed *SaveError
	if err != nil && !errors.As(err, &failed) {
		failed = &SaveError{Err: err}
	}
	again = make(map[*Stream]struct{})
	for s, to := range upTo {
		switch {
		case failed == nil:
			s.saved = to
		case slices.Contains(failed.Taken, s.ID):
			s.demote()
		default:
			again[s] = struct{}{}
			if behind, ok := failed.Behind[s.ID]; ok {
				s.saved = behind
			} else if failed.Err == nil {
				s.saved = to
				delete(again, s)
			}
		}
	}
	if failed != nil {
		return again, failed.Err
	}
	return again, nil
}

// finish ends a batch: changed could not be saved and goes into the next one, deleted is done. It logs when the store
// begins or ceases to fail.
func (r *recorder) finish(err error, changed map[*Stream]struct{}, deleted []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range changed {
		r.changed[s] = struct{}{}
	}
	for _, id := range deleted {
		delete(r.deleted, id)
	}
	if err != nil {
		if r.err == nil {
			r.logger.Error("streams cannot be saved; they go on in memory", "error", err)
		}
	} else if r.err != nil {
		r.logger.Info("streams are saved again")
	}
	r.err = err
}

// change returns what the store does not have of s yet, and the offset of its last entry. It reads s.saved, so only the
// recorder's goroutine may call it, or the goroutine that makes s.
func (s *Stream) change() (StreamChange, uint64) {
	s.log.Lock()
	defer s.log.Unlock()
	st := s.stateLocked(s.log.TextLen())
	rec := StreamRecord{
		ID: s.ID, Kind: s.Kind, Topic: s.Topic, Owner: s.Owner, Key: s.Key, ContentType: s.ContentType,
		Epoch: s.log.Epoch(), Before: s.log.Before(), Digest: s.digest, Idle: s.Idle, Completion: s.Completion,
		Info: st.Info, Status: st.Status, Ending: st.Ending, Timings: st.Timings, Account: st.Account,
		Producer: s.producer.record(),
	}
	for _, a := range s.aliases {
		rec.Aliases = append(rec.Aliases, a.id)
	}
	var to uint64
	rec.Runs, to = s.log.Runs(s.saved)
	rec.Tail, rec.Bytes = to, s.log.TextLen()
	return rec, to
}

func (p *producerState) record() ProducerRecord {
	rec := ProducerRecord{Holder: p.holder, Epoch: p.epoch}
	for id, k := range p.progress {
		if rec.Known == nil {
			rec.Known = make(map[string]ProducerProgress)
		}
		rec.Known[id] = ProducerProgress{Epoch: k.epoch, Last: k.last, Closed: k.closed}
	}
	return rec
}
