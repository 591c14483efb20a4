package clustertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
)

// store is everything that a node shares with the others.
type store interface {
	hub.SharedStreams
	hub.TopicStore
	hub.PresenceStore
	hub.QueueFollower
	conversation.Store
	rights.RevocationStore
	Close()
}

// network connects the nodes, and injects faults.
type network interface {
	open(name string) store
	// begin starts a fault of one node, or of all, and returns the function that ends it. Crashes are not begun here.
	begin(t *trouble, name string) (end func())
	// die disconnects a node permanently. The caller closes its store afterwards.
	die(name string)
	// report sets the function that is called when the network sees a node misbehave.
	report(failf func(format string, args ...any))
}

// world is the state of a running history.
type world struct {
	plan  *plan
	net   network
	haste int           // by how much all durations are divided; 1 under a fake clock
	lease time.Duration // of nodes
	begun time.Time
	over  chan struct{} // closed when clients must stop; all faults have ended by then

	work     sync.WaitGroup // clients
	provided provider

	mu       sync.Mutex
	nodes    []*node
	started  int
	faults   []string
	lines    []string
	spans    []span   // of trouble
	checks   []func() // run after the settling time
	watchers []func() // closed at the end
	sessions []*sessionModel
}

// span is the duration of a fault.
type span struct {
	from, to time.Time // to is zero while it lasts
	kind     string
}

// node is one hub process, from its start to its crash or the end of the history.
type node struct {
	*hub.Hub
	name    string
	store   store
	revoked *rights.Revocations

	mu       sync.Mutex
	down     bool
	gone     chan struct{}  // closed when it goes down
	users    sync.WaitGroup // client calls in progress
	cutSince time.Time      // zero: not cut off
}

var quiet = slog.New(slog.DiscardHandler)

// run executes a history, and returns the broken promises and the trace.
func run(p *plan, net network, haste int) (faults, trace []string) {
	w := &world{plan: p, net: net, haste: haste, begun: time.Now(), over: make(chan struct{})}
	w.lease = w.scaled(nodeLease)
	w.provided.pace = w.scaled(20 * time.Millisecond)
	net.report(w.failf)
	for i := range p.nodes {
		w.nodes = append(w.nodes, w.start(i))
	}
	var troubles sync.WaitGroup
	for i := range p.troubles {
		troubles.Go(func() { w.happens(&p.troubles[i]) })
	}
	for i, a := range p.actors {
		w.act(i, a)
	}
	time.Sleep(w.scaled(active))
	troubles.Wait()
	close(w.over)
	w.work.Wait()
	time.Sleep(w.scaled(settling))
	for _, check := range w.checks {
		check()
	}
	for _, stop := range w.watchers {
		stop()
	}
	if n := w.provided.running(); n > 0 {
		w.failf("%d completions are still being made", n)
	}
	for _, n := range w.nodes {
		n.Close()
		_ = n.revoked.Close()
		n.store.Close()
	}
	return w.faults, w.lines
}

// nodeLease is the lease of a node, before scaling.
const nodeLease = 10 * time.Second

// settling is the time after the last fault within which the cluster must recover completely. The longest chain is: an
// upload through another node times out after a minute, its producer's lease ends 30 s later, and a job waits 10 s for
// a worker.
const settling = 105 * time.Second

// start starts a node under a new name. It retries until it reaches the store.
func (w *world) start(slot int) *node {
	w.mu.Lock()
	w.started++
	name := fmt.Sprintf("n%d.%d", slot, w.started)
	w.mu.Unlock()
	n := &node{name: name, store: w.net.open(name), gone: make(chan struct{})}
	for n.store.LoadRevocations(func(rights.Revocation) error { return nil }) != nil {
		time.Sleep(time.Second)
	}
	n.Hub = hub.New(hub.Options{
		Streams: n.store, Topics: n.store, Presences: n.store, Queue: n.store, Provider: &w.provided, Logger: quiet,
		Limits: hub.Limits{
			HistoryEvents: w.plan.history, Lease: w.scaled(30 * time.Second), JobWait: w.scaled(10 * time.Second),
		},
	})
	if err := n.Restore(); err != nil {
		w.tracef("%s does not get its streams back: %v", name, err)
	}
	w.joinRevocations(n)
	return n
}

// joinRevocations connects the node's revocations to the hub, as the server does.
func (w *world) joinRevocations(n *node) {
	for {
		var err error
		if n.revoked, err = rights.NewRevocations(rights.RevocationOptions{Store: n.store}); err == nil {
			break
		}
		time.Sleep(time.Second)
	}
	take := func(f func(told *toldRevocation)) func([]byte) ([]byte, error) {
		return func(body []byte) ([]byte, error) {
			told := new(toldRevocation)
			err := json.Unmarshal(body, told)
			if err == nil {
				f(told)
			}
			return nil, err
		}
	}
	n.revoked.Follow(func() {}, n.Cluster().NotifyMissed)
	n.Cluster().OnCall("revoke", take(func(told *toldRevocation) { n.revoked.Take(told.Revocation, told.Unsaved) }))
	n.Cluster().OnCall("lift", take(func(told *toldRevocation) { n.revoked.TakeLift(told.Revocation) }))
	n.Cluster().OnMissed(func() { _ = n.revoked.Reload() })
	_ = n.revoked.Reload()
}

// toldRevocation is the message about a revocation between nodes.
type toldRevocation struct {
	rights.Revocation
	Unsaved bool // the store may lack it
}

// tell sends a revocation to all other nodes.
func (n *node) tell(call string, one rights.Revocation, unsaved bool) {
	body, _ := json.Marshal(toldRevocation{one, unsaved})
	n.Cluster().NotifyAll(call, body)
}

// happens injects one fault at its time, and ends it.
func (w *world) happens(t *trouble) {
	time.Sleep(w.scaled(t.at))
	w.mu.Lock()
	n := w.nodes[t.node]
	at := len(w.spans)
	w.spans = append(w.spans, span{from: time.Now(), kind: t.kind})
	w.mu.Unlock()
	w.tracef("%s: %s", n.name, t.kind)
	if t.kind == crash {
		w.crash(t, n)
	} else {
		if t.kind == cut {
			n.setCut(time.Now())
		}
		end := w.net.begin(t, n.name)
		time.Sleep(w.scaled(t.last))
		end()
		n.setCut(time.Time{})
	}
	w.tracef("%s: %s is over", n.name, t.kind)
	w.mu.Lock()
	w.spans[at].to = time.Now()
	w.mu.Unlock()
}

func (n *node) setCut(at time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cutSince = at
}

// crash ends a node without a shutdown, and starts a new one in its place. It waits for client calls in progress before
// it closes the hub.
func (w *world) crash(t *trouble, n *node) {
	n.mu.Lock()
	had := n.down
	if !had {
		n.down = true
		close(n.gone)
	}
	n.mu.Unlock()
	if had { // it is crashing already
		return
	}
	w.net.die(n.name)
	n.users.Wait()
	n.Close()
	_ = n.revoked.Close() // what it could not save is lost
	n.store.Close()
	time.Sleep(w.scaled(t.last))
	next := w.start(t.node)
	w.mu.Lock()
	w.nodes[t.node] = next
	w.mu.Unlock()
}

// use returns a running node for one client call. The client calls done afterwards.
func (w *world) use(rng *rand.Rand) (n *node, done func()) {
	for {
		w.mu.Lock()
		n = w.nodes[rng.IntN(len(w.nodes))]
		w.mu.Unlock()
		if n.enter() {
			return n, n.users.Done
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (n *node) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.down {
		n.users.Add(1)
	}
	return !n.down
}

// cutFor returns how long the node has been cut off; 0 if it is not.
func (n *node) cutFor() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cutSince.IsZero() {
		return 0
	}
	return time.Since(n.cutSince)
}

// all returns the current nodes.
func (w *world) all() []*node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*node(nil), w.nodes...)
}

// failf records a broken promise.
func (w *world) failf(format string, args ...any) {
	w.tracef("WRONG: "+format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

func (w *world) tracef(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := time.Since(w.begun).Round(time.Millisecond)
	w.lines = append(w.lines, fmt.Sprintf("%8v ", at)+fmt.Sprintf(format, args...))
}

// pause waits for a random time between two client actions. It returns false when the client must stop.
func (w *world) pause(rng *rand.Rand, most time.Duration) bool {
	timer := time.NewTimer(w.scaled(time.Duration(rng.Int64N(int64(most)))))
	defer timer.Stop()
	select {
	case <-timer.C:
		select {
		case <-w.over:
			return false
		default:
			return true
		}
	case <-w.over:
		return false
	}
}

func loses(kind string) bool { return kind == amnesia || kind == empty || kind == replaced }

// scaled divides a duration by the haste of this world.
func (w *world) scaled(d time.Duration) time.Duration { return d / time.Duration(w.haste) }

// rest waits for a random time between two retries.
func (w *world) rest(rng *rand.Rand, most time.Duration) {
	time.Sleep(w.scaled(time.Duration(rng.Int64N(int64(most)))))
}

// lossForGoodAfter is lossAfter for what all nodes have in memory: it comes back to a store that has lost everything,
// unless a node has died that knew of it alone.
func (w *world) lossForGoodAfter(t time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.spans {
		if s.kind == crash || loses(s.kind) && s.kind != empty && (s.to.IsZero() || s.to.After(t)) {
			return true
		}
	}
	return false
}

// lossAfter reports whether the store lost data at or after t.
func (w *world) lossAfter(t time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.spans { // including one in progress: what is lost is decided at its end
		if loses(s.kind) && (s.to.IsZero() || s.to.After(t)) {
			return true
		}
	}
	return false
}

// recordLag is how much later a stream's text may reach the store than its readers.
const recordLag = 2 * time.Second

// deathNear reports whether a fault near t may have destroyed what was written at t before the store had it.
func (w *world) deathNear(t time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.spans {
		switch s.kind {
		case late, twice, deaf:
			continue
		}
		if s.from.Before(t.Add(recordLag)) && (s.to.IsZero() || s.to.Add(recordLag).After(t)) {
			return true
		}
	}
	return false
}

// passing reports whether clients retry after an error.
func passing(err error) bool {
	return errors.Is(err, errs.ErrUnavailable) || errors.Is(err, errs.ErrClosed) && !errors.As(err, new(*hub.EndedError)) ||
		errors.Is(err, errs.ErrLimited) || errors.Is(err, context.Canceled)
}

func (w *world) act(i int, a actor) {
	rng := rand.New(rand.NewPCG(a.seed, 2))
	switch a.kind {
	case "topic":
		w.topic(i, rng)
	case "queue":
		w.queue(i, rng)
	case "stream":
		w.stream(i, rng)
	case "completion":
		w.completion(i, rng)
	case "job":
		w.job(i, rng)
	case "presence":
		w.presence(i, rng)
	case "revocation":
		w.revocation(i, rng)
	case "session":
		w.session(i, rng)
	case "conversation":
		w.conversation(i, rng)
	case "polled":
		w.polled(i, rng)
	case "admin":
		w.admin(i, rng)
	case "cursor":
		w.cursor(i, rng)
	}
}

// child returns an independent random source for another goroutine.
func child(rng *rand.Rand) *rand.Rand { return rand.New(rand.NewPCG(rng.Uint64(), 3)) }

// calm reports whether the history had no fault so far.
func (w *world) calm() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.spans) == 0
}

// deathEver reports whether there was a fault that keeps nodes from working, rather than delaying messages only.
func (w *world) deathEver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.spans {
		if s.kind != late && s.kind != twice && s.kind != deaf {
			return true
		}
	}
	return false
}
