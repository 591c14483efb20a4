package hub

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/duckwire/duckwire/hub/lock"
	"github.com/duckwire/duckwire/hub/log"
)

// Options configures a Hub. The zero value works, without completions.
type Options struct {
	Limits    Limits
	Provider  Provider      // makes completions; nil: Complete returns ErrUnavailable
	Streams   StreamStore   // stores streams over a restart; nil: they live in memory
	Topics    TopicStore    // shares topics among several nodes; nil: topics are local to the node
	Presences PresenceStore // shares presences among several nodes, if Streams is shared, too; nil: they are local
	Queue     QueueStore    // stores users' messages; nil: Enqueue returns ErrUnavailable
	Logger    *slog.Logger  // nil: slog.Default
}

// Hub holds all topics, streams, presences, jobs and open queues of one node. Safe for concurrent use. Create it with
// New; end it with Drain and Close.
type Hub struct {
	// Static after New.
	limits   Limits
	provider Provider
	logger   *slog.Logger
	epochs   *log.Epochs
	cluster  *Cluster  // nil on a single node
	recorder *recorder // nil without a store of streams

	// The parts. Each guards its own state with its own lock.
	topics   topicRegistry
	streams  registry
	jobs     jobs
	queues   queues
	results  results
	sessions sessions
	expiry   presenceExpiry
	counts   counts

	// Atomic counters that several parts use.
	presenceRefs atomic.Uint64 // how many values of phx_ref were made

	// The memory that all logs take together.
	logBytes atomic.Int64 // an estimate, without encodings
	encoded  atomic.Int64 // encodings that logs cache for their readers
	eviction eviction

	// Goroutines and shutdown.
	background Background
	ctx        context.Context // is cancelled when Close begins: completions stop
	cancel     context.CancelFunc
	drain      drain
}

// New returns a running hub. Its goroutines run until Close: the janitor, the expiry of presences, the recorder of
// results, with a store that of streams, and on several nodes those of Cluster.
func New(o Options) *Hub {
	h := &Hub{
		limits:   o.Limits.withDefaults(),
		provider: o.Provider,
		logger:   o.Logger,
		epochs:   log.NewEpochs(),
	}
	if h.logger == nil {
		h.logger = slog.Default()
	}
	h.cluster = newCluster(h, &o)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.background.ctx = h.ctx
	h.eviction.mu.SetClass(lock.Eviction)
	h.drain.init()
	h.counts.init()
	h.topics.init(h)
	h.streams.init(&h.limits)
	h.expiry.init()
	h.jobs.init(h)
	h.queues.init(h, o.Queue)
	h.results.init(h)
	h.background.Go(h.cleanUp)
	h.background.Go(func() { h.expiry.run(h.ctx) })
	h.results.work.Go(h.results.run)
	if o.Streams != nil {
		h.recorder = newRecorder(o.Streams, h.logger)
		h.recorder.work.Go(h.recorder.run)
	}
	h.cluster.join()
	return h
}

// Limits returns the limits in force.
func (h *Hub) Limits() Limits { return h.limits }

// LogBytes estimates the memory of all logs in bytes, including the encodings that they cache for their readers.
func (h *Hub) LogBytes() int64 { return h.logBytes.Load() + h.encoded.Load() }

// drain is the state of a graceful shutdown.
type drain struct {
	begun, over     chan struct{} // closed when the hub begins to drain, and when nothing is left to wait for
	begins, endings sync.Once

	mu     lock.Mutex
	wakers map[log.Waker]struct{} // are signalled at both times
}

func (d *drain) init() {
	d.begun, d.over, d.wakers = make(chan struct{}), make(chan struct{}), make(map[log.Waker]struct{})
}

func (d *drain) begin() { d.begins.Do(func() { d.announce(d.begun) }) }
func (d *drain) end()   { d.endings.Do(func() { d.announce(d.over) }) }

// announce closes a channel and signals the wakers.
func (d *drain) announce(step chan struct{}) {
	close(step)
	d.mu.Lock()
	defer d.mu.Unlock()
	for w := range d.wakers {
		w.Signal()
	}
}

// OnDrain has w signalled when the hub begins to drain, and when it has drained, until forget is called.
func (h *Hub) OnDrain(w log.Waker) (forget func()) {
	d := &h.drain
	d.mu.Lock()
	d.wakers[w] = struct{}{}
	d.mu.Unlock()
	return func() {
		d.mu.Lock()
		delete(d.wakers, w)
		d.mu.Unlock()
	}
}

// IsDraining reports whether Drain or Close has begun.
func (h *Hub) IsDraining() bool { return isClosed(h.drain.begun) }

// HasDrained reports whether Drain has returned, or Close has begun: readers should leave now.
func (h *Hub) HasDrained() bool { return isClosed(h.drain.over) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Drain refuses new work from now on. It returns when the running completions have ended, or ctx is done, and the
// functions beside it, which it calls at once, have returned. Readers stay until then (HasDrained), so that they are away
// for the restart alone.
func (h *Hub) Drain(ctx context.Context, beside ...func()) {
	h.drain.begin()
	var others sync.WaitGroup
	for _, f := range beside {
		others.Go(f)
	}
	h.awaitCompletions(ctx)
	others.Wait()
	h.drain.end()
}

// awaitCompletions returns when the running completions have ended, or ctx is done.
func (h *Hub) awaitCompletions(ctx context.Context) {
	for _, s := range h.streams.all() {
		if !s.EndsWithDrain() {
			continue
		}
		select {
		case <-s.Done():
		case <-ctx.Done():
			return
		}
	}
}

// Close ends the hub. Streams that still run become interrupted. It returns when all goroutines of the hub have ended
// and the store has been written.
func (h *Hub) Close() {
	h.drain.begin()
	h.drain.end()
	for _, s := range h.streams.all() {
		s.endLocal(StatusInterrupted, errServerStopped)
	}
	h.cluster.endPresences()
	h.cancel()
	h.background.close()
	for _, t := range h.topics.all() {
		t.dropMirror()
	}
	for _, s := range h.streams.all() {
		s.unfollow()
	}
	h.background.work.Wait()
	for _, s := range h.streams.all() {
		s.stopTimers()
	}
	h.results.closing.Do(func() { close(h.results.stop) })
	h.results.work.Wait()
	if h.recorder != nil { // after all others, so that it stores the end of every stream
		h.recorder.closing.Do(func() { close(h.recorder.stop) })
		h.recorder.work.Wait()
	}
	h.cluster.leave()
}
