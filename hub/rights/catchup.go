package rights

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Delays before the next Reload. After a failure it doubles with each attempt. Changes that other nodes announce one
// after the other share a Reload, which reads all revocations.
const (
	minRetryDelay     = 200 * time.Millisecond
	maxRetryDelay     = 10 * time.Second
	remoteChangeDelay = time.Second
)

// reloadSaves is how many unsaved revocations one Reload saves at most: revocations of this node wait for it.
const reloadSaves = 1000

// catchUp tracks how this node and the store may differ: the store could not be reached, or another node has changed
// it. A goroutine retries Reload while they may differ; Close waits for it. Revocations.writing guards the fields,
// except stale.
type catchUp struct {
	unsaved      map[subject]struct{} // in force on this node, but the store may lack them
	stale        atomic.Bool          // the last Reload could not load, so revocations of other nodes may be missing
	remoteChange bool                 // another node has announced a change since the last load
	running      bool                 // the goroutine runs
	closed       bool

	generation string               // of a shared store, as of the last load
	lifted     map[subject]struct{} // lifted by other nodes since then: not saved again, should the store lose its data

	stop chan struct{} // closed by Close
	work sync.WaitGroup

	onReload   func() // see Follow; may be nil
	onLateSave func() // see Follow; may be nil
}

func (c *catchUp) init() {
	c.unsaved, c.lifted, c.stop = make(map[subject]struct{}), make(map[subject]struct{}), make(chan struct{})
}

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
	savedLate, err := r.reload(reloadSaves)
	loaded := !r.catchUp.stale.Load()
	if !r.catchUp.inSync() {
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

// reload loads the store's revocations, merges the unsaved ones into them and saves up to limit of those. It reports
// whether it found or made any of the unsaved ones saved. A subject that another node has revoked meanwhile keeps the stricter values of
// both (With). The caller holds r.writing, so nothing is revoked or lifted on this node meanwhile.
func (r *Revocations) reload(limit int) (savedLate bool, err error) {
	stored, lost, err := r.load()
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
		if merged.equal(theirs) && !lost { // it was saved, and only the answer was lost
			delete(r.catchUp.unsaved, s)
			savedLate = true
			continue
		}
		missing = append(missing, merged)
	}
	r.swap(stored)
	for _, one := range missing[:min(limit, len(missing))] {
		if err := r.o.Store.SaveRevocation(one); err != nil {
			return savedLate, err
		}
		delete(r.catchUp.unsaved, one.subject())
		savedLate = true
	}
	return savedLate, nil
}

// load returns the store's revocations that have not expired. lost says that a shared store has lost its data: then load
// marks everything as unsaved that this node knows, also what it has just loaded, which may be from before the loss.
func (r *Revocations) load() (stored map[subject]Revocation, lost bool, err error) {
	all, now := make(map[subject]Revocation), r.o.Now()
	err = r.o.Store.LoadRevocations(func(one Revocation) error {
		if now.Before(one.Until) {
			all[one.subject()] = one
		}
		return nil
	})
	if err == nil {
		lost, err = r.storeLostData()
	}
	if err != nil {
		return nil, false, err
	}
	if lost {
		r.markAllUnsaved(all)
	}
	clear(r.catchUp.lifted)
	return all, lost, nil
}

// markAllUnsaved marks as unsaved what this node and a store that has lost its data since had. The caller holds
// r.writing.
func (r *Revocations) markAllUnsaved(stored map[subject]Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s, one := range stored {
		r.all[s] = one.With(r.all[s])
	}
	for s := range r.all {
		if _, lifted := r.catchUp.lifted[s]; !lifted {
			r.catchUp.unsaved[s] = struct{}{}
		}
	}
}

// storeLostData reports whether a shared store has lost all its data since the last load. It must be called after the
// revocations were loaded, which are then of the generation that it reads, or complete and of the one before.
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
	for failures := 0; ; {
		select {
		case <-r.catchUp.stop:
			return
		case <-time.After(r.retryDelay(failures)):
		}
		failures++
		if r.Reload() == nil { // the first failure was logged
			failures = 0
		}
		r.writing.Lock()
		inSync := r.catchUp.inSync()
		r.catchUp.running = !inSync
		r.writing.Unlock()
		if inSync {
			return
		}
	}
}

// retryDelay returns the delay before the next Reload, after so many failures in a row.
func (r *Revocations) retryDelay(failures int) time.Duration {
	r.writing.Lock()
	unsaved := len(r.catchUp.unsaved) > 0
	r.writing.Unlock()
	if failures == 0 && !unsaved {
		return remoteChangeDelay
	}
	return min(minRetryDelay<<min(failures, 10), maxRetryDelay)
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
	if _, err := r.reload(math.MaxInt); err != nil {
		return fmt.Errorf("%d revocations are not saved, and end with this process: %w", len(r.catchUp.unsaved), err)
	}
	return nil
}
