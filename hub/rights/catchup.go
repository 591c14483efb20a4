package rights

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the delay before the store is tried again; it doubles with each attempt.
const (
	minRetryDelay = 200 * time.Millisecond
	maxRetryDelay = 10 * time.Second
)

// catchUp tracks how this node and the store may differ: the store could not be reached, or another node has changed
// it. A goroutine retries Reload while they may differ; Close waits for it. Revocations.writing guards the fields,
// except stale.
type catchUp struct {
	unsaved      map[subject]struct{} // in force on this node, but the store may lack them
	stale        atomic.Bool          // the last Reload could not load, so revocations of other nodes may be missing
	remoteChange bool                 // another node has announced a change since the last load
	running      bool                 // the goroutine runs
	closed       bool

	generation string // of a shared store, as of the last load

	stop chan struct{} // closed by Close
	work sync.WaitGroup

	onReload   func() // see Follow; may be nil
	onLateSave func() // see Follow; may be nil
}

func (c *catchUp) init() { c.unsaved, c.stop = make(map[subject]struct{}), make(chan struct{}) }

// inSync reports whether this node and the store are not known to differ.
func (c *catchUp) inSync() bool { return !c.stale.Load() && !c.remoteChange && len(c.unsaved) == 0 }

// Follow sets two callbacks. onReload is called after each Reload that could load from the store. onLateSave is called
// after a Reload that has saved revocations which could not be saved when they were made: other nodes may not know of
// them yet. Call Follow before the first Reload.
func (r *Revocations) Follow(onReload, onLateSave func()) {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.catchUp.onReload, r.catchUp.onLateSave = onReload, onLateSave
}

// Reload replaces this node's revocations by those of the store, which other nodes may have changed, and saves those
// that the store lacks. After an error of the store's, everything that was revoked on this node stays revoked, and
// Reload is retried until it succeeds.
func (r *Revocations) Reload() error {
	if r.o.Store == nil {
		return nil
	}
	r.writing.Lock()
	savedLate, err := r.reload()
	loaded := !r.catchUp.stale.Load()
	if err != nil {
		r.scheduleRetry()
	}
	onReload, onLateSave := r.catchUp.onReload, r.catchUp.onLateSave
	r.writing.Unlock()
	if loaded && onReload != nil {
		onReload()
	}
	if savedLate && onLateSave != nil {
		onLateSave()
	}
	return err
}

// Stale reports whether this node may accept tokens that other nodes have revoked: the last Reload could not load from
// the store, and is retried.
func (r *Revocations) Stale() bool { return r.catchUp.stale.Load() }

// reload loads the store's revocations, merges the unsaved ones into them and saves those. It reports whether it found
// or made any of the unsaved ones saved. A subject that another node has revoked meanwhile keeps the stricter values of
// both (With). The caller holds r.writing, so nothing is revoked or lifted on this node meanwhile.
func (r *Revocations) reload() (savedLate bool, err error) {
	stored, err := r.load()
	r.catchUp.stale.Store(err != nil)
	if err != nil {
		return false, err
	}
	r.catchUp.remoteChange = false
	var missing []Revocation
	for s := range r.catchUp.unsaved {
		mine, _ := r.get(s)
		if !r.o.Now().Before(mine.Until) {
			delete(r.catchUp.unsaved, s)
			continue
		}
		theirs := stored[s]
		merged := mine.With(theirs)
		stored[s] = merged
		if merged.equal(theirs) { // it was saved, and only the answer was lost
			delete(r.catchUp.unsaved, s)
			savedLate = true
			continue
		}
		missing = append(missing, merged)
	}
	r.swap(stored)
	for _, one := range missing {
		if err := r.o.Store.SaveRevocation(one); err != nil {
			return savedLate, err
		}
		delete(r.catchUp.unsaved, one.subject())
		savedLate = true
	}
	return savedLate, nil
}

// load returns the store's revocations that have not expired. If a shared store has lost its data, load marks all
// revocations of this node as unsaved, so that they are written to it again.
func (r *Revocations) load() (map[subject]Revocation, error) {
	all, now := make(map[subject]Revocation), r.o.Now()
	err := r.o.Store.LoadRevocations(func(one Revocation) error {
		if now.Before(one.Until) {
			all[one.subject()] = one
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	lost, err := r.storeLostData()
	if lost {
		r.mu.RLock()
		for s := range r.all {
			r.catchUp.unsaved[s] = struct{}{}
		}
		r.mu.RUnlock()
	}
	return all, err
}

// storeLostData reports whether a shared store has lost all its data since the last load. It must be called after the
// revocations were loaded: they are then of the generation read here, or complete and of the one before.
func (r *Revocations) storeLostData() (bool, error) {
	shared, ok := r.o.Store.(SharedRevocationStore)
	if !ok {
		return false, nil
	}
	before := r.catchUp.generation
	generation, err := shared.RevocationsGeneration()
	switch {
	case err != nil && before == "": // there is no earlier generation to compare with
		return false, nil
	case err != nil:
		return false, err
	}
	r.catchUp.generation = generation
	return before != "" && before != generation, nil
}

// markUnsaved records that the store may lack the revocation of s, and schedules a retry. The caller holds r.writing.
func (r *Revocations) markUnsaved(s subject) {
	r.catchUp.unsaved[s] = struct{}{}
	r.scheduleRetry()
}

// scheduleRetry starts the goroutine that retries Reload, unless it runs. The caller holds r.writing.
func (r *Revocations) scheduleRetry() {
	c := &r.catchUp
	if !c.running && !c.closed {
		c.running = true
		c.work.Go(r.retryUntilInSync)
	}
}

func (r *Revocations) retryUntilInSync() {
	for delay := minRetryDelay; ; delay = min(2*delay, maxRetryDelay) {
		select {
		case <-r.catchUp.stop:
			return
		case <-time.After(delay):
		}
		_ = r.Reload() // the first failure was logged
		r.writing.Lock()
		inSync := r.catchUp.inSync()
		r.catchUp.running = !inSync
		r.writing.Unlock()
		if inSync {
			return
		}
	}
}

// Close stops the retries and tries once more to save the unsaved revocations. Its error says how many are lost.
func (r *Revocations) Close() error {
	r.writing.Lock()
	first := !r.catchUp.closed
	r.catchUp.closed = true
	r.writing.Unlock()
	if first {
		close(r.catchUp.stop)
	}
	r.catchUp.work.Wait()
	r.writing.Lock()
	defer r.writing.Unlock()
	if len(r.catchUp.unsaved) == 0 {
		return nil
	}
	if _, err := r.reload(); err != nil {
		return fmt.Errorf("%d revocations are not saved, and end with this process: %w", len(r.catchUp.unsaved), err)
	}
	return nil
}
