package hub

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/lock"
	"github.com/duckwire/duckwire/hub/log"
)

// recordEvery is how far the kept streams may be behind the live ones.
const recordEvery = 250 * time.Millisecond

// recorder writes streams to the store: it collects those that changed, and saves them in one batch.
type recorder struct {
	store StreamStore
	now   *log.Wake // some streams are wanted at once

	work    sync.WaitGroup
	stop    chan struct{}
	closing sync.Once

	mu      lock.Mutex
	changed map[*Stream]struct{}
	dropped []string
	urgent  map[*Stream]*flush // to be saved at once, alone: what is behind does not depend on how often streams end or are asked for
	err     error              // of the last Save; nil when the store keeps up
}

// flush is the saving of a stream for which somebody may wait.
type flush struct {
	done   chan struct{}
	failed bool // set before done is closed
}

// saveSoon has a stream saved at once, and returns when that is done.
func (r *recorder) saveSoon(s *Stream) *flush {
	r.mu.Lock()
	f := r.urgent[s]
	if f == nil {
		f = &flush{done: make(chan struct{})}
		r.urgent[s] = f
	}
	r.mu.Unlock()
	r.now.Signal()
	return f
}

// flush returns when what s has by now is saved. Errors match ErrUnavailable.
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

func newRecorder(store StreamStore) *recorder {
	return &recorder{store: store, now: log.NewWake(), stop: make(chan struct{}), changed: make(map[*Stream]struct{}), urgent: make(map[*Stream]*flush)}
}

// changedStream notes that s has something to be saved. It takes no lock but the recorder's, and may be called under
// s.log.
func (h *Hub) changedStream(s *Stream, ended bool) {
	if h.recorder == nil {
		return
	}
	h.recorder.mu.Lock()
	h.recorder.changed[s] = struct{}{}
	h.recorder.mu.Unlock()
	if ended {
		h.recorder.saveSoon(s)
	}
}

func (h *Hub) forgetRecord(s *Stream) {
	if h.recorder == nil {
		return
	}
	h.recorder.mu.Lock()
	defer h.recorder.mu.Unlock()
	delete(h.recorder.changed, s)
	h.recorder.dropped = append(h.recorder.dropped, s.ID)
}

// withdrawRecord has a stream that could not be registered ended in the store, and then forgotten there: it may be
// there all the same, where others have found it and wait for it, and its id would stay taken.
func (h *Hub) withdrawRecord(s *Stream) {
	h.recorder.mu.Lock()
	defer h.recorder.mu.Unlock()
	h.recorder.changed[s] = struct{}{}
	h.recorder.dropped = append(h.recorder.dropped, s.ID)
}

// StoreError returns why streams cannot be kept at the moment, or nil.
func (h *Hub) StoreError() error {
	if h.recorder == nil {
		return nil
	}
	h.recorder.mu.Lock()
	defer h.recorder.mu.Unlock()
	return h.recorder.err
}

// record saves until stop is closed, and once more then.
func (h *Hub) record(stop <-chan struct{}) {
	tick := time.NewTicker(recordEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			h.recorder.save(h, true)
			return
		case <-tick.C:
			h.recorder.save(h, true)
		case <-h.recorder.now.C:
			h.recorder.save(h, false)
		}
	}
}

// nextBatch returns what is to be saved now: all that changed, or of that only what is wanted at once.
func (r *recorder) nextBatch(all bool) (changed map[*Stream]struct{}, dropped []string, wanted map[*Stream]*flush) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wanted, r.urgent = r.urgent, make(map[*Stream]*flush)
	changed = make(map[*Stream]struct{})
	if all {
		changed, r.changed = r.changed, changed
		dropped, r.dropped = r.dropped, nil
		return changed, dropped, wanted
	}
	for s := range wanted {
		if _, ok := r.changed[s]; ok {
			changed[s] = struct{}{}
			delete(r.changed, s)
		}
	}
	return changed, nil, wanted
}

// save writes what changed. What could not be saved stays noted for the next time.
func (r *recorder) save(h *Hub, all bool) {
	changed, dropped, wanted := r.nextBatch(all)
	defer func() {
		for s, f := range wanted {
			_, f.failed = changed[s]
			close(f.done)
		}
	}()
	if len(changed) == 0 && len(dropped) == 0 {
		return
	}
	changes := make([]StreamChange, 0, len(changed))
	upTo := make(map[*Stream]uint64, len(changed))
	for s := range changed {
		change, to := s.change()
		changes = append(changes, change)
		upTo[s] = to
	}
	err := r.store.Save(changes)
	changed, err = h.saved(upTo, err)
	if err == nil && len(dropped) > 0 {
		err = r.store.Delete(dropped)
		if err == nil {
			dropped = nil
		}
	}
	r.noteSaved(h, err, changed, dropped)
}

// saved notes what a Save has done, and returns the streams that are to be saved again.
func (h *Hub) saved(upTo map[*Stream]uint64, err error) (again map[*Stream]struct{}, _ error) {
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

func (r *recorder) noteSaved(h *Hub, err error, changed map[*Stream]struct{}, dropped []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range changed {
		r.changed[s] = struct{}{}
	}
	r.dropped = append(r.dropped, dropped...)
	if err != nil {
		if r.err == nil {
			h.logger.Error("streams cannot be kept; they go on in memory", "error", err)
		}
	} else if r.err != nil {
		h.logger.Info("streams are kept again")
	}
	r.err = err
}

// change returns what is not saved yet of s, and up to where. s.saved belongs to the recorder's goroutine.
func (s *Stream) change() (StreamChange, uint64) {
	s.log.Lock()
	defer s.log.Unlock()
	st := s.stateLocked(s.log.TextLen())
	rec := StreamRecord{
		ID: s.ID, Kind: s.Kind, Topic: s.Topic, Owner: s.Owner, ContentType: s.ContentType, Epoch: s.log.Epoch(), Before: s.log.Before(), Digest: s.digest, Idle: s.Idle,
		Completion: s.Completion, Info: st.Info, Status: st.Status, Ending: st.Ending, Timings: st.Timings, Account: st.Account,
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
