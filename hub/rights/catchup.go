package rights

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Pauses before the store is tried again.
const (
	firstPause = 200 * time.Millisecond
	mostPause  = 10 * time.Second
)

// catchUp is what the store and Revocations do not know of each other because the store did not work, and the goroutine
// that mends it. Revocations.writing guards it. The goroutine runs while there is something to do; Close waits for it.
type catchUp struct {
	unsaved map[subject]struct{} // revocations that hold, and that the store may not have
	stale   atomic.Bool          // the last Reload has failed: what other nodes have revoked is not known
	told    bool                 // another node has changed something since the last Reload
	running bool
	closed  bool

	generation string // of a shared store, as of the last reload

	stop chan struct{}
	work sync.WaitGroup

	reloaded func() // nil: nobody asks
	saved    func() // nil: nobody asks
}

func (c *catchUp) init() { c.unsaved, c.stop = make(map[subject]struct{}), make(chan struct{}) }

func (c *catchUp) done() bool { return !c.stale.Load() && !c.told && len(c.unsaved) == 0 }

// Follow has reloaded called after each reload that has succeeded, and saved after one that has saved revocations later
// than they were made: other nodes may not have heard of them. It is called before the first Reload.
func (r *Revocations) Follow(reloaded, saved func()) {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.catchUp.reloaded, r.catchUp.saved = reloaded, saved
}

// Reload takes from the store what other nodes have revoked and lifted, and saves what is unsaved. Errors: the store's.
// Then what was revoked before is revoked still, and it is tried again until it succeeds.
func (r *Revocations) Reload() error {
	if r.o.Store == nil {
		return nil
	}
	r.writing.Lock()
	saved, err := r.reload()
	fresh := !r.catchUp.stale.Load()
	if err != nil {
		r.tryLater()
	}
	reloaded, tell := r.catchUp.reloaded, r.catchUp.saved
	r.writing.Unlock()
	if fresh && reloaded != nil {
		reloaded()
	}
	if saved && tell != nil {
		tell()
	}
	return err
}

// Stale reports whether other nodes may have revoked what passes here: the last Reload has failed, and is tried again.
func (r *Revocations) Stale() bool { return r.catchUp.stale.Load() }

// reload makes here and the store equal, and reports whether it has saved something. Where another node has revoked the
// same meanwhile, neither weakens the other. r.writing is held, so nothing is revoked or lifted here meanwhile.
func (r *Revocations) reload() (saved bool, err error) {
	stored, err := r.load()
	r.catchUp.stale.Store(err != nil)
	if err != nil {
		return false, err
	}
	r.catchUp.told = false
	var unsaved []Revocation
	for s := range r.catchUp.unsaved {
		one, _ := r.get(s)
		if !r.o.Now().Before(one.Until) {
			delete(r.catchUp.unsaved, s)
			continue
		}
		theirs := stored[s]
		one = one.With(theirs)
		stored[s] = one
		if one.equal(theirs) { // only the answer was lost
			delete(r.catchUp.unsaved, s)
			saved = true
			continue
		}
		unsaved = append(unsaved, one)
	}
	r.swap(stored)
	for _, one := range unsaved {
		if err := r.o.Store.SaveRevocation(one); err != nil {
			return saved, err
		}
		delete(r.catchUp.unsaved, one.subject())
		saved = true
	}
	return saved, nil
}

// load returns what the store has, but for what is over. Where the store has lost everything, all that is known here is
// to be saved again.
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
	lost, err := r.lostAll()
	if lost {
		r.mu.RLock()
		for s := range r.all {
			r.catchUp.unsaved[s] = struct{}{}
		}
		r.mu.RUnlock()
	}
	return all, err
}

// lostAll reports whether a shared store has lost everything since the last reload. It is asked behind what was loaded,
// which is of this generation or, whole, of the one before.
func (r *Revocations) lostAll() (bool, error) {
	shared, ok := r.o.Store.(SharedRevocationStore)
	if !ok {
		return false, nil
	}
	before := r.catchUp.generation
	generation, err := shared.RevocationsGeneration()
	switch {
	case err != nil && before == "": // nothing can be told from it yet
		return false, nil
	case err != nil:
		return false, err
	}
	r.catchUp.generation = generation
	return before != "" && before != generation, nil
}

// saveLater notes that the store may not have what is revoked here. r.writing is held.
func (r *Revocations) saveLater(s subject) {
	r.catchUp.unsaved[s] = struct{}{}
	r.tryLater()
}

// tryLater has the goroutine run. r.writing is held.
func (r *Revocations) tryLater() {
	c := &r.catchUp
	if !c.running && !c.closed {
		c.running = true
		c.work.Go(r.tryUntilDone)
	}
}

func (r *Revocations) tryUntilDone() {
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		select {
		case <-r.catchUp.stop:
			return
		case <-time.After(pause):
		}
		_ = r.Reload() // it was logged when it failed first
		r.writing.Lock()
		done := r.catchUp.done()
		r.catchUp.running = !done
		r.writing.Unlock()
		if done {
			return
		}
	}
}

// Close tries once more to save what is unsaved, and returns when that is done. Its error says what is lost.
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
