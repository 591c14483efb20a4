package mirror_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/mirror"
)

// change is the message about one append: the epoch of the log, and the offset of the entry.
type change struct {
	epoch int
	entry int
}

// source is a log that others write and that may begin new epochs, and the faults of its messages.
type source struct {
	mu     sync.Mutex
	epoch  int
	tail   int
	fails  int           // loads that will fail
	slow   time.Duration // how long a load takes
	loads  atomic.Int64
	heard  func(change) // see Replica.Follow
	gap    func()
	closed bool
}

var errAway = errors.New("the source is away")

func (s *source) read() (epoch, tail int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads.Add(1)
	if s.fails > 0 {
		s.fails--
		return 0, 0, errAway
	}
	return s.epoch, s.tail, nil
}

// replica is one node's copy of the log.
type replica struct {
	source  *source
	mu      sync.Mutex
	epoch   int
	tail    int
	loading atomic.Bool
	t       *rapid.T
}

func (r *replica) Follow(heard func(change), gap func()) (stop func()) {
	r.source.mu.Lock()
	r.source.heard, r.source.gap = heard, gap
	r.source.mu.Unlock()
	time.AfterFunc(time.Millisecond, gap)
	return func() {
		r.source.mu.Lock()
		r.source.closed = true
		r.source.mu.Unlock()
	}
}

func (r *replica) Load() error {
	if r.loading.Swap(true) {
		r.t.Errorf("two loads at the same time")
	}
	defer r.loading.Store(false)
	epoch, tail, err := r.source.read()
	time.Sleep(r.source.slow) // changes are buffered meanwhile
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch, r.tail = epoch, tail
	return nil
}

func (r *replica) Take(c change, _ bool) bool {
	if r.loading.Load() {
		r.t.Errorf("a change is applied during a load")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.epoch != r.epoch || c.entry > r.tail+1 {
		return false
	}
	r.tail = max(r.tail, c.entry)
	return true
}

// host stands for the hub: it runs the goroutines and pauses.
type host struct {
	work   sync.WaitGroup
	closed atomic.Bool
	pauses atomic.Int64
}

func (h *host) TryGo(f func()) bool {
	if h.closed.Load() {
		return false
	}
	h.work.Go(f)
	return true
}

func (h *host) PauseAfter(failures int) bool {
	h.pauses.Add(1)
	time.Sleep(time.Duration(failures) * 10 * time.Millisecond)
	return !h.closed.Load()
}

// TestModel tests the states of Mirror with messages that are late, duplicated, lost and reordered, with a source that
// fails, and with one that begins a new epoch with a part of its entries. In the end the replica must equal the source,
// and there must have been no more loads than causes for one.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(*testing.T) { model(rt) })
	})
}

func model(t *rapid.T) {
	s := &source{slow: time.Duration(rapid.IntRange(0, 20).Draw(t, "load takes ms")) * time.Millisecond}
	r := &replica{source: s, t: t}
	h := &host{}
	m := mirror.New(r, h)
	m.Start()
	causes := 1 // of loads: the first gap, each further gap, each message, each failure
	steps := rapid.IntRange(1, 40).Draw(t, "steps")
	for range steps {
		switch rapid.IntRange(0, 9).Draw(t, "step") {
		case 0, 1, 2, 3, 4: // somebody appends
			s.mu.Lock()
			s.tail++
			c := change{s.epoch, s.tail}
			s.mu.Unlock()
			if rapid.IntRange(0, 9).Draw(t, "lost") == 0 {
				causes++
				time.AfterFunc(30*time.Millisecond, m.Gap) // the subscription was interrupted, and is back
				continue
			}
			for range rapid.IntRange(1, 2).Draw(t, "copies") {
				causes++
				wait := time.Duration(rapid.IntRange(0, 50).Draw(t, "late by ms")) * time.Millisecond
				time.AfterFunc(wait, func() { s.heard(c) })
			}
		case 5: // a burst
			n := rapid.IntRange(1, 2*mirror.MaxBuffered).Draw(t, "burst")
			causes += n
			for range n {
				s.mu.Lock()
				s.tail++
				c := change{s.epoch, s.tail}
				s.mu.Unlock()
				s.heard(c)
			}
		case 6: // a new epoch, with a part of the entries
			s.mu.Lock()
			s.epoch++
			s.tail = rapid.IntRange(0, s.tail).Draw(t, "kept")
			s.mu.Unlock()
			causes++
			m.Gap()
		case 7:
			s.mu.Lock()
			n := rapid.IntRange(1, 3).Draw(t, "failures")
			s.fails += n
			causes += n
			s.mu.Unlock()
		case 8:
			causes++
			s.mu.Lock()
			epoch, tail := s.epoch, s.tail
			s.mu.Unlock()
			if err := m.Refresh(time.Minute); err == nil {
				r.mu.Lock()
				behind := r.epoch < epoch || r.epoch == epoch && r.tail < tail
				r.mu.Unlock()
				if behind {
					t.Errorf("after Refresh the replica lacks what the source had before it")
				}
			} else if !errors.Is(err, errAway) {
				t.Errorf("Refresh: %v", err)
			}
		case 9:
			time.Sleep(time.Duration(rapid.IntRange(1, 100).Draw(t, "pause ms")) * time.Millisecond)
		}
	}
	time.Sleep(time.Hour)
	if err := m.Loaded(time.Second); err != nil {
		t.Errorf("in the end: %v", err)
	}
	if r.epoch != s.epoch || r.tail != s.tail { // no goroutine runs: no lock is needed
		t.Errorf("the replica is %d.%d, the source %d.%d", r.epoch, r.tail, s.epoch, s.tail)
	}
	if s.loads.Load() > int64(causes) {
		t.Errorf("%d loads for %d causes", s.loads.Load(), causes)
	}
	m.Close()
	h.closed.Store(true)
	h.work.Wait()
	if err := m.Refresh(time.Minute); !errors.Is(err, errs.ErrClosed) || !s.closed {
		t.Errorf("after Close: %v, following %v", err, !s.closed)
	}
}

// A late change of an earlier epoch causes one load, and a reader that comes then is served.
func TestLateChangeOfAnEarlierEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := &source{epoch: 2, tail: 1}, &host{}
		m := mirror.New(&replica{source: s}, h)
		m.Start()
		if err := m.Loaded(time.Minute); err != nil {
			t.Fatal(err)
		}
		before := s.loads.Load()
		for range 10 {
			s.heard(change{epoch: 1, entry: 7})
			time.Sleep(time.Second)
		}
		if n := s.loads.Load() - before; n != 10 {
			t.Errorf("10 late changes cost %d loads", n)
		}
		if err := m.Refresh(time.Minute); err != nil {
			t.Errorf("a reader that comes then: %v", err)
		}
		m.Close()
	})
}

// If every load is followed by a change of an earlier epoch, there are pauses between the loads.
func TestReloadsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := &source{epoch: 2}, &host{}
		r := &lateReplica{replica{source: s}}
		m := mirror.New(r, h)
		m.Start()
		time.Sleep(time.Second)
		m.Close()
		h.closed.Store(true)
		h.work.Wait()
		if s.loads.Load() > 200 || h.pauses.Load() == 0 {
			t.Errorf("%d loads and %d pauses within a second", s.loads.Load(), h.pauses.Load())
		}
	})
}

// lateReplica hears of a change of an earlier epoch during each load.
type lateReplica struct{ replica }

func (r *lateReplica) Load() error {
	err := r.replica.Load()
	r.source.heard(change{epoch: 1, entry: 1})
	return err
}

// TestClosing checks that a mirror whose host closes ends, and that callers that wait get ErrClosed.
func TestClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := &source{fails: 1 << 30}, &host{}
		m := mirror.New(&replica{source: s}, h)
		m.Start()
		if err := m.Loaded(time.Minute); !errors.Is(err, errAway) || !errors.Is(m.Failing(), errAway) {
			t.Errorf("while the source is away: %v, %v", err, m.Failing())
		}
		h.closed.Store(true)
		h.work.Wait()
		if err := m.Loaded(time.Minute); !errors.Is(err, errs.ErrClosed) {
			t.Errorf("when the host has closed: %v", err)
		}
		other := mirror.New(&replica{source: s}, h)
		other.Start()
		if err := other.Loaded(time.Minute); !errors.Is(err, errs.ErrClosed) {
			t.Errorf("a mirror that begins then: %v", err)
		}
	})
}

// TestLate checks that Loaded returns an error after its timeout.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		m := mirror.New(&replica{source: &source{slow: time.Hour}}, h)
		m.Start()
		if err := m.Loaded(time.Second); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		m.Close()
		h.work.Wait()
	})
}
