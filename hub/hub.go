package hub

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/lock"
	"github.com/duckwire/duckwire/hub/log"
)

// Options configures a Hub. The zero value works, without completions.
type Options struct {
	Limits    Limits
	Provider  Provider      // where completions come from; nil: Complete answers ErrUnavailable
	Streams   StreamStore   // keeps streams over a restart; nil: they live as long as the hub
	Topics    TopicStore    // keeps topics for several nodes; nil: they are this node's alone
	Presences PresenceStore // keeps who is present for several nodes, with Streams that they share; nil: presences are this node's alone
	Queue     QueueStore    // keeps users' messages; nil: Enqueue answers ErrUnavailable
	Logger    *slog.Logger  // nil: slog.Default
}

// Hub holds every topic and stream of one node and decides what happens to them. Safe for concurrent use. Create it
// with New; end it with Drain and Close.
type Hub struct {
	// Fixed by New.
	limits    Limits
	provider  Provider
	logger    *slog.Logger
	startedAt time.Time
	cluster   *Cluster  // nil: this node is alone
	recorder  *recorder // nil without a store for streams

	// Each has a lock of its own, or is atomic.
	background   background
	epochs       *log.Epochs
	logBytes     atomic.Int64 // of all logs, about; without encodings
	encoded      atomic.Int64 // bytes of encodings that logs keep for their readers
	eviction     eviction
	counts       counts
	streams      registry
	jobs         jobs
	queues       queues
	results      results
	sessions     sessions
	expiry       presenceExpiry
	presenceRefs atomic.Uint64 // how many phx_refs were made

	topicMu lock.RWMutex
	topics  map[string]*topic

	// The end.
	ctx      context.Context // ends when Close begins: completions stop
	cancel   context.CancelFunc
	draining chan struct{} // closed by Drain
	drain    sync.Once
	wakesMu  lock.Mutex
	wakes    map[log.Waker]struct{} // who is told of the draining
}

// New returns a running hub. It owns goroutines for cleaning up, for presences, for results, and for records, until
// Close.
func New(o Options) *Hub {
	h := &Hub{
		limits:    o.Limits.withDefaults(),
		provider:  o.Provider,
		logger:    o.Logger,
		startedAt: time.Now(),
		cluster:   newCluster(&o),
		epochs:    log.NewEpochs(),
		topics:    make(map[string]*topic),
		draining:  make(chan struct{}),
		wakes:     make(map[log.Waker]struct{}),
	}
	if h.logger == nil {
		h.logger = slog.Default()
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.background.ctx = h.ctx
	h.topicMu.SetClass(lock.Topics)
	h.eviction.mu.SetClass(lock.Room)
	h.counts.init()
	h.streams.init()
	h.expiry.init()
	h.jobs.init(&h.limits)
	h.queues.init(o.Queue)
	h.results.init()
	h.background.Go(h.cleanUp)
	h.background.Go(h.expirePresences)
	h.results.work.Go(h.leaveResults)
	if o.Streams != nil {
		h.recorder = newRecorder(o.Streams)
		h.recorder.work.Go(func() { h.record(h.recorder.stop) })
	}
	h.joinCluster()
	return h
}

// Limits returns the limits in force.
func (h *Hub) Limits() Limits { return h.limits }

// expiryTime is the earlier of what the system's clock says and of what has passed since the hub's start: what waits on
// disk must not expire because the clock was set, ahead or back. It may stay longer.
func (h *Hub) expiryTime() time.Time {
	now, steady := time.Now(), h.startedAt.Add(time.Since(h.startedAt))
	if steady.UnixNano() < now.UnixNano() { // by their wall clocks
		return steady.Round(0)
	}
	return now.Round(0)
}

// LogBytes returns about how many bytes all logs take, with the encodings that they keep for their readers.
func (h *Hub) LogBytes() int64 { return h.logBytes.Load() + h.encoded.Load() }

// OnDrain has w signalled when the hub begins to drain, until forget is called.
func (h *Hub) OnDrain(w log.Waker) (forget func()) {
	h.wakesMu.Lock()
	h.wakes[w] = struct{}{}
	h.wakesMu.Unlock()
	return func() {
		h.wakesMu.Lock()
		delete(h.wakes, w)
		h.wakesMu.Unlock()
	}
}

// startDrain closes draining, once, and wakes everybody who should know.
func (h *Hub) startDrain() {
	h.drain.Do(func() {
		close(h.draining)
		h.wakesMu.Lock()
		defer h.wakesMu.Unlock()
		for w := range h.wakes {
			w.Signal()
		}
	})
}

// Drain refuses new work from now on, tells readers to leave, and waits until the running completions have ended or ctx
// is over.
func (h *Hub) Drain(ctx context.Context) {
	h.startDrain()
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

// Close ends the hub: streams that still run become interrupted. It returns when every goroutine of the hub has ended,
// and the store has everything.
func (h *Hub) Close() {
	h.startDrain()
	for _, s := range h.streams.all() {
		s.finish(StatusInterrupted, errServerStopped)
	}
	h.endPresences()
	h.cancel()
	h.background.close()
	for _, t := range h.allTopics() {
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
	if h.recorder != nil { // last, so that it saves every ending
		h.recorder.closing.Do(func() { close(h.recorder.stop) })
		h.recorder.work.Wait()
	}
	h.cluster.leave()
}

// IsDraining reports whether Drain or Close has begun.
func (h *Hub) IsDraining() bool {
	select {
	case <-h.draining:
		return true
	default:
		return false
	}
}

// Publish appends events to a topic: all or none. The sender becomes part of the events. A durable event is left first
// in the queues of those in To who do not read the topic at the moment. Errors: *FieldError, *LimitError, ErrClosed
// while draining; for durable ones also Enqueue's. Whether sender may publish there, and leave messages for To, is the
// caller's to check.
func (h *Hub) Publish(name, sender string, events []EventInput) ([]Published, error) {
	if err := h.check(events); err != nil {
		return nil, err
	}
	if h.IsDraining() {
		return nil, errs.ErrClosed
	}
	if err := h.makeRoom(); err != nil {
		return nil, err
	}
	if err := h.storeForOffline(name, sender, events); err != nil {
		return nil, err
	}
	return h.append(name, sender, events)
}

// CheckEvents is what Publish checks of the events themselves, for callers that must know before they ask for rights.
func (h *Hub) CheckEvents(events []EventInput) error { return h.check(events) }

// check checks and compacts the events of one publish.
func (h *Hub) check(events []EventInput) error {
	if len(events) == 0 {
		return errs.Invalid("events", "must hold at least one event")
	}
	if len(events) > h.limits.BatchEvents {
		return &errs.LimitError{Kind: errs.ErrTooLarge, Name: "events in one request (batch_events)", Limit: int64(h.limits.BatchEvents)}
	}
	for i := range events {
		if err := events[i].check(eventField(i, len(events)), &h.limits); err != nil {
			return err
		}
	}
	return nil
}

// append publishes checked events, whatever the hub's state: a stream's ending is announced while it drains, too.
func (h *Hub) append(name, sender string, events []EventInput) ([]Published, error) {
	if h.cluster.sharesTopics() {
		return h.share(name, sender, events)
	}
	for {
		t, err := h.topic(name)
		if err != nil {
			return nil, err
		}
		if out, err := t.publish(sender, events, time.Now()); err != errs.ErrClosed {
			return out, err
		}
	}
}

// Conclude is Publish for the end of what was begun before: it is not refused while the hub drains.
func (h *Hub) Conclude(name, sender string, events []EventInput) ([]Published, error) {
	if err := h.check(events); err != nil {
		return nil, err
	}
	return h.append(name, sender, events)
}

// Subscribe opens a reader of a topic after p (absent: Position{Now: true}). The wake fires when there is more to read.
func (h *Hub) Subscribe(name string, p log.Position, wake log.Waker) (*TopicReader, *log.Reset, error) {
	for {
		t, err := h.topic(name)
		if err != nil {
			return nil, nil, err
		}
		if err := t.ensureMirror(); err == errs.ErrClosed && !h.isClosing() {
			continue // it was dropped just then
		} else if err != nil {
			return nil, nil, err
		}
		if err := t.catchUp(p); err == errs.ErrClosed && !h.isClosing() {
			continue
		} else if err != nil {
			return nil, nil, err
		}
		if r, reset := t.subscribe(p, wake); r != nil {
			return r, reset, nil
		}
	}
}

// topic returns the topic, made now if it is new.
func (h *Hub) topic(name string) (*topic, error) {
	h.topicMu.RLock()
	t := h.topics[name]
	h.topicMu.RUnlock()
	if t != nil {
		return t, nil
	}
	if err := ValidTopic(name); err != nil {
		return nil, err
	}
	h.topicMu.Lock()
	defer h.topicMu.Unlock()
	if t = h.topics[name]; t != nil {
		return t, nil
	}
	if len(h.topics) >= h.limits.Topics {
		return nil, &errs.LimitError{Kind: errs.ErrLimited, Name: "topics", Limit: int64(h.limits.Topics), Retry: 10 * time.Second}
	}
	t = &topic{name: name, hub: h, lastUsed: time.Now()}
	epoch := ""
	if !h.cluster.sharesTopics() {
		epoch = h.epochs.Next()
	}
	t.SetClass(lock.Topic)
	t.Init(epoch, nil, &h.encoded)
	h.topics[name] = t
	return t, nil
}

// eventField names one event of a request in errors: by its index where there are several.
func eventField(i, n int) string {
	if n == 1 {
		return ""
	}
	return "events[" + strconv.Itoa(i) + "]"
}
