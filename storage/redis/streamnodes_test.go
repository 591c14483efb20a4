package redis_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

// lease is long enough for a machine that stalls for two seconds. A test that needs a dead node does not wait for it:
// see die.
const lease = 8 * time.Second

// node is one hub on a Redis, which it can be disconnected from.
type node struct {
	*hub.Hub
	store   *redis.Store
	stopped chan string // prompts of completions that were cancelled

	line redistest.Line
}

// addressed is a Redis with a URL.
type addressed interface{ URL() string }

// startNode starts a node. Its provider produces as many pieces as the prompt's number says, one in a millisecond;
// "endless" has no end.
func startNode(t testing.TB, server addressed) *node { return startNodeWith(t, server, hub.Limits{}) }

func startNodeWith(t testing.TB, server addressed, limits hub.Limits) *node {
	n := &node{stopped: make(chan string, 9)}
	n.store = open(t, redis.Options{URL: server.URL(), Lease: lease, Dial: n.line.Dial})
	n.Hub = hub.New(hub.Options{
		Topics: n.store, Presences: n.store, Streams: n.store, Queue: n.store, Provider: n,
		Limits: limits,
	})
	t.Cleanup(n.Close)
	return n
}

// die disconnects the node from Redis for good. The others declare it dead at their next beat.
func (n *node) die(t testing.TB, others ...*node) {
	t.Helper()
	n.line.Cut()
	n.buried(t, others...)
}

func (n *node) buried(t testing.TB, others ...*node) {
	t.Helper()
	for _, other := range others {
		if err := other.store.ExpireLease(n.store.Node()); err != nil {
			t.Fatal(err)
		}
	}
}

// beat waits for so many more heartbeats of the node.
func (n *node) beat(t testing.TB, times int) {
	t.Helper()
	for range times {
		last := n.store.LastBeat()
		hubtest.Until(t, "a node to beat", func() bool { return n.store.LastBeat() != last })
	}
}

func (n *node) Models(context.Context) ([]hub.Model, error) { return nil, nil }

func (n *node) Complete(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
	prompt := req.Prompt
	pieces := -1
	_, _ = fmt.Sscan(prompt, &pieces)
	for i := 0; i != pieces; i++ {
		if err := w.Text(piece(i)); err != nil {
			n.stopped <- prompt
			return err
		}
		select {
		case <-ctx.Done():
			n.stopped <- prompt
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	w.Finish(hub.Finish{Reason: "stop"})
	return nil
}

func piece(i int) string { return fmt.Sprintf("%d·", i) }

func text(pieces int) string {
	var b strings.Builder
	for i := range pieces {
		b.WriteString(piece(i))
	}
	return b.String()
}

func (n *node) ask(t testing.TB, prompt string, spec hub.StreamSpec) (s *hub.Stream, attached bool) {
	t.Helper()
	spec.Kind, spec.Owner, spec.Digest = "completion", cmp.Or(spec.Owner, "ada"), prompt
	s, attached, err := n.Hub.Complete(&hub.CompletionRequest{Kind: hub.TextCompletion, Prompt: prompt}, spec,
		hub.CompletionMeta{Kind: hub.TextCompletion})
	if err != nil {
		t.Fatal(err)
	}
	return s, attached
}

func (n *node) find(t testing.TB, id string) *hub.Stream {
	t.Helper()
	s, err := n.Stream("ada", id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// streamReader reads one stream.
type streamReader struct {
	t      testing.TB
	stream *hub.Stream
	reader *log.Reader
	wake   *log.Wake
	text   string
	resets []log.ResetReason
	ended  bool
}

func watch(t testing.TB, s *hub.Stream, p log.Position) *streamReader {
	r := &streamReader{t: t, stream: s, wake: log.NewWake()}
	var reset *log.Reset
	r.reader, reset = s.Watch(p, r.wake)
	if reset != nil {
		r.resets = append(r.resets, reset.Reason)
	}
	return r
}

func (r *streamReader) until(done func() bool) {
	r.t.Helper()
	late := time.NewTimer(hubtest.Hung)
	defer late.Stop()
	for !done() {
		items, reset := r.reader.Read(nil)
		if reset != nil {
			r.resets = append(r.resets, reset.Reason)
			r.text = ""
		}
		for i := range items {
			if items[i].At != len(r.text) {
				r.t.Fatalf("text at %d, expected at %d", items[i].At, len(r.text))
			}
			r.text += string(items[i].Text)
			r.ended = items[i].Event != nil && items[i].Event.Kind == log.EndEvent
		}
		if len(items) > 0 || reset != nil {
			continue
		}
		select {
		case <-r.wake.C:
		case <-late.C:
			r.t.Fatalf("nothing more comes after %d bytes; %s", len(r.text), r.stream.Status())
		}
	}
}

func (r *streamReader) toEnd() { r.t.Helper(); r.until(func() bool { return r.ended }) }

func TestCompletionOnAnotherNode(t *testing.T) {
	backends(t, func(t *testing.T, url string) { completionOnAnotherNode(t, address(url)) })
}

func completionOnAnotherNode(t *testing.T, server addressed) {
	a, b := startNode(t, server), startNode(t, server)
	s, _ := a.ask(t, "700", hub.StreamSpec{Alias: "mine"})
	readers := []*streamReader{
		watch(t, s, log.Position{}), watch(t, b.find(t, s.ID), log.Position{}),
		watch(t, b.find(t, "mine"), log.Position{}),
	}
	half := readers[1]
	half.until(func() bool { return len(half.text) > 500 })
	at, had := half.reader.Position(), half.text
	half.reader.Close()
	c := startNode(t, server)
	again, attached := c.ask(t, "700", hub.StreamSpec{Alias: "mine"})
	if again.ID != s.ID || !attached {
		t.Errorf("the same request on another node is %s, %t", again.ID, attached)
	}
	half = watch(t, again, at)
	half.text = had
	readers[1] = half
	for _, r := range readers {
		r.toEnd()
		if r.text != text(700) || len(r.resets) > 0 {
			t.Errorf("%d bytes of %d, resets %v", len(r.text), len(text(700)), r.resets)
		}
		if st := r.stream.State(); st.Status != hub.StatusDone || st.Ending.FinishReason != "stop" ||
			st.Account.Made != 700 {
			t.Errorf("%+v", st)
		}
	}
}

func TestCancelOnAnotherNode(t *testing.T) {
	backends(t, func(t *testing.T, url string) { cancelOnAnotherNode(t, address(url)) })
}

func cancelOnAnotherNode(t *testing.T, server addressed) {
	a, b := startNode(t, server), startNode(t, server)
	s, _ := a.ask(t, "endless", hub.StreamSpec{})
	there := b.find(t, s.ID)
	there.Cancel("eve")
	if st := there.State(); st.Status != hub.StatusCancelled || st.Account.EndedBy != "eve" {
		t.Errorf("%+v", st)
	}
	<-a.stopped
	s, _ = a.ask(t, "endless", hub.StreamSpec{Slot: "ghost"})
	b.ask(t, "3", hub.StreamSpec{Slot: "ghost"})
	<-a.stopped
	if st := s.State(); st.Status != hub.StatusSuperseded {
		t.Errorf("what was in the slot on another node is %s", st.Status)
	}
}

// watchedOnAnotherNode checks that a stream that ends without watchers goes on while it is watched on another node.
func TestWatchedOnAnotherNode(t *testing.T) {
	backends(t, func(t *testing.T, url string) { watchedOnAnotherNode(t, address(url)) })
}

func watchedOnAnotherNode(t *testing.T, server addressed) {
	a, b := startNode(t, server), startNode(t, server)
	const unwatched = time.Second
	s, _ := a.ask(t, "endless", hub.StreamSpec{Idle: hub.IdlePolicy{CancelAfter: unwatched}})
	here, r := watch(t, s, log.Position{}), watch(t, b.find(t, s.ID), log.Position{})
	hubtest.Until(t, "both watchers to be known", func() bool { return s.State().Watchers == 2 })
	here.reader.Close()
	// no piece is there sooner than a millisecond after another
	more := len(r.text) + len(text(int(unwatched.Milliseconds())+500))
	r.until(func() bool { return len(r.text) > more })
	if st := s.State(); st.Status != hub.StatusRunning || st.Watchers != 1 {
		t.Errorf("%s, %d watchers", st.Status, st.Watchers)
	}
	r.reader.Close()
	<-a.stopped
	<-s.Done()
	if st := s.State(); st.Account.EndedBy != "unwatched" {
		t.Errorf("%+v", st)
	}
}

func TestNodeDiesWithStreams(t *testing.T) {
	backends(t, func(t *testing.T, url string) { nodeDiesWithStreams(t, address(url)) })
}

func nodeDiesWithStreams(t *testing.T, server addressed) {
	a, b, c := startNode(t, server), startNode(t, server), startNode(t, server)
	s, _ := a.ask(t, "endless", hub.StreamSpec{})
	unseen, _ := a.ask(t, "endless", hub.StreamSpec{})
	r := watch(t, b.find(t, s.ID), log.Position{})
	r.until(func() bool { return len(r.text) > 1000 })
	a.die(t, b, c)
	r.toEnd()
	if st := r.stream.State(); st.Status != hub.StatusInterrupted || st.Ending.Error == nil ||
		st.Ending.Error.Code != "node_lost" {
		t.Errorf("%+v", st)
	}
	late := watch(t, c.find(t, s.ID), log.Position{})
	late.toEnd()
	if late.text != r.text || !strings.HasPrefix(text(1_000_000), r.text) || len(r.resets) > 0 {
		t.Errorf("%d and %d bytes, resets %v", len(late.text), len(r.text), r.resets)
	}
	left := watch(t, c.find(t, unseen.ID), log.Position{})
	left.toEnd()
	if st := left.stream.Status(); st != hub.StatusInterrupted {
		t.Errorf("a stream that nobody looked at is %s", st)
	}
}

func appendText(s *hub.Stream, ref hub.ProducerRef, text string, ending *hub.Ending) (hub.Receipt, error) {
	begin := s.Append
	if ref.Seq%2 == 1 {
		begin = s.AppendWhole
	}
	a, err := begin(ref)
	if err != nil {
		return hub.Receipt{}, err
	}
	if !a.Duplicate() {
		if err := a.Add([]hub.Part{{Text: text}}); err != nil {
			a.Abort()
			return hub.Receipt{}, err
		}
	}
	return a.End(ending)
}

func TestProducerOverAnyNode(t *testing.T) {
	server := startRedis(t)
	nodes := []*node{startNode(t, server), startNode(t, server), startNode(t, server)}
	s, _, err := nodes[0].CreateStream(hub.StreamSpec{ID: "build", Owner: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if had, old, err := nodes[1].CreateStream(hub.StreamSpec{ID: "build", Owner: "ada"}); err != nil || !old ||
		had.ID != s.ID {
		t.Errorf("made twice: %v, %t, %v", had, old, err)
	}
	_, _, err = nodes[1].CreateStream(hub.StreamSpec{ID: "build", Owner: "eve"})
	if !errors.Is(err, errs.ErrConflict) {
		t.Errorf("somebody else's: %v", err)
	}
	r := watch(t, nodes[2].find(t, "build"), log.Position{})
	ref := hub.ProducerRef{ID: "p"}
	want := ""
	for n := range 30 { // through each node in both ways
		ref.Seq = int64(n)
		want += piece(n)
		for again := range 2 { // the second append is a repetition
			receipt, err := appendText(nodes[n%3].find(t, "build"), ref, piece(n), nil)
			if err != nil || receipt.Duplicate != (again == 1) {
				t.Fatal(n, receipt, err)
			}
		}
	}
	ref.Seq = 40
	var gap *hub.GapError
	if _, err := appendText(nodes[1].find(t, "build"), ref, "x", nil); !errors.As(err, &gap) || gap.Expected != 30 ||
		gap.Received != 40 {
		t.Errorf("a gap: %v", err)
	}
	var lease *hub.LeaseError
	if _, err := appendText(nodes[1].find(t, "build"), hub.ProducerRef{ID: "q"}, "x", nil); !errors.As(err, &lease) ||
		lease.Left <= 0 {
		t.Errorf("another producer: %v", err)
	}
	r.until(func() bool { return len(r.text) == len(want) })
	nodes[0].die(t, nodes[1:]...)
	ref.Epoch, ref.Seq = 1, 0
	more := nodes[1].find(t, "build")
	hubtest.Until(t, "the node to be found dead", func() bool {
		if _, err = appendText(more, ref, "and on", &hub.Ending{Status: hub.StatusDone}); err != nil &&
			!errors.Is(err, errs.ErrUnavailable) {
			t.Fatal(err)
		}
		return err == nil
	})
	r.until(func() bool { return strings.HasSuffix(r.text, "on") && r.ended })
	if r.text != want+"and on" {
		t.Errorf("%q", r.text)
	}
}

// slowFinds is a store whose FindStream can be blocked.
type slowFinds struct {
	*redis.Store
	asked chan string // ids that were looked for; dropped if full
	held  atomic.Pointer[chan struct{}]
}

func (s *slowFinds) FindStream(user, id string) (*hub.SharedStream, error) {
	if held := s.held.Load(); held != nil {
		select {
		case s.asked <- id:
		default:
		}
		<-*held
	}
	return s.Store.FindStream(user, id)
}

// TestStreamIsLost checks that a node that was away while another took its stream over neither shows nor accepts
// anything of the stream until it has the other's state. Otherwise a producer would continue after text that no longer
// exists.
func TestStreamIsLost(t *testing.T) {
	server := startRedis(t)
	other, n := startNode(t, server), &node{}
	n.store = open(t, redis.Options{URL: server.URL(), Lease: lease, Dial: n.line.Dial})
	slow := &slowFinds{Store: n.store, asked: make(chan string, 1)}
	n.Hub = hub.New(hub.Options{Topics: slow, Presences: slow, Streams: slow, Queue: slow})
	t.Cleanup(n.Close)
	s, _, err := n.CreateStream(hub.StreamSpec{ID: "build", Owner: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	ref := hub.ProducerRef{ID: "p"}
	if _, err := appendText(s, ref, "kept", nil); err != nil {
		t.Fatal(err)
	}
	r := watch(t, other.find(t, "build"), log.Position{})
	r.until(func() bool { return r.text == "kept" })

	n.line.Cut()
	for ref.Seq = 1; ref.Seq < 4; ref.Seq++ {
		if _, err := appendText(s, ref, ", and lost", nil); err != nil {
			t.Fatal(err)
		}
	}
	n.buried(t, other)
	r.toEnd()
	hold := make(chan struct{})
	slow.held.Store(&hold)
	n.line.Mend()
	<-slow.asked // it has noticed that the stream is lost

	var work sync.WaitGroup
	work.Go(func() {
		if found, err := n.Stream("ada", "build"); err != nil || found.Status() != hub.StatusInterrupted ||
			string(found.State().Text) != "kept" {
			t.Errorf("%v, %+v", err, found.State())
		}
		for seq := range int64(2) {
			ending := &hub.Ending{Status: hub.StatusDone}
			if seq == 0 {
				ending = nil
			}
			if receipt, err := appendText(s, hub.ProducerRef{ID: "p", Epoch: 1, Seq: seq}, " on", ending); err != nil {
				t.Errorf("%v, %+v", err, receipt)
			}
		}
	})
	work.Go(func() {
		if _, err := appendText(s, hub.ProducerRef{ID: "q"}, "", nil); !errors.As(err, new(*hub.LeaseError)) &&
			!errors.Is(err, errs.ErrForbidden) {
			t.Errorf("a producer of a lower epoch: %v", err)
		}
	})
	time.Sleep(100 * time.Millisecond) // long enough for a wrong result to show
	slow.held.Store(nil)
	close(hold)
	work.Wait()
	r.until(func() bool { return r.ended && len(r.text) > len("kept on") })
	if r.text != "kept on on" {
		t.Errorf("%q", r.text)
	}
}

// TestRedisForgetsStreams kills a Redis without persistence during a completion: a reader on another node gets the
// whole text in the end.
func TestRedisForgetsStreams(t *testing.T) {
	server := startRedis(t)
	a, b := startNode(t, server), startNode(t, server)
	s, _ := a.ask(t, "3000", hub.StreamSpec{})
	here, there := watch(t, s, log.Position{}), watch(t, b.find(t, s.ID), log.Position{})
	for range 3 {
		time.Sleep(300 * time.Millisecond) // some text is saved before
		server.Kill()
		time.Sleep(100 * time.Millisecond) // some text is not
		server.Start()
	}
	here.toEnd()
	there.toEnd()
	if here.text != text(3000) || there.text != text(3000) {
		t.Errorf("%d and %d bytes of %d; %s, resets %v", len(here.text), len(there.text), len(text(3000)),
			there.stream.Status(), there.resets)
	}
}

// TestCommandsOfTokens checks that the cost of tokens does not depend on the number of readers and nodes: at most one
// write in 250 ms.
func TestCommandsOfTokens(t *testing.T) {
	const tokens, most = 1000, 50
	server := startRedis(t)
	a, b := startNode(t, server), startNode(t, server)
	scripts := func() (n int) {
		_, rest, _ := strings.Cut(server.Command("INFO", "commandstats"), "cmdstat_evalsha:calls=")
		_, _ = fmt.Sscan(strings.SplitN(rest, ",", 2)[0], &n)
		return n
	}
	for _, readers := range []int{1, 100} {
		s, _ := a.ask(t, strconv.Itoa(tokens), hub.StreamSpec{})
		var list []*streamReader
		for range readers {
			list = append(list, watch(t, b.find(t, s.ID), log.Position{}))
		}
		before := scripts()
		for _, r := range list {
			r.toEnd()
			if r.text != text(tokens) {
				t.Fatalf("%d bytes", len(r.text))
			}
		}
		took := time.Since(s.State().Timings.Started)
		n := scripts() - before
		t.Logf("%d tokens in %v, %d readers on another node: %d scripts", tokens, took, readers, n)
		if most := most + int(took.Seconds()*4); n == 0 || n > most { // 40 at 100 tokens a second
			t.Errorf("%d scripts", n)
		}
	}
}

// TestNewcomerIsAsked checks that a broadcast reaches a node that has just started: a revocation applies there, too.
func TestNewcomerIsAsked(t *testing.T) {
	server := startRedis(t)
	a := startNode(t, server)
	for n := range 5 {
		startNode(t, server).Cluster().OnCall("here?", func([]byte) ([]byte, error) { return []byte("here"), nil })
		if answers := a.Cluster().CallAll("here?", nil); len(answers) != n+1 {
			t.Fatalf("%d of %d nodes have answered", len(answers), n+1)
		}
	}
}

// TestStreamGoesOnElsewhere checks that a reader of a stream continues at the same position on another node that lags
// behind.
func TestStreamGoesOnElsewhere(t *testing.T) {
	server := startRedis(t)
	a, b := startNode(t, server), startNode(t, server)
	s, _ := a.ask(t, "endless", hub.StreamSpec{})
	known := watch(t, b.find(t, s.ID), log.Position{}) // b has a mirror
	known.until(func() bool { return known.text != "" })
	r := watch(t, s, log.Position{})
	for range 5 {
		for _, n := range []*node{a, b} {
			had := len(r.text)
			r.until(func() bool { return len(r.text) > had+100 })
			r.reader.Close()
			r.stream = n.find(t, s.ID)
			if err := r.stream.CatchUp(r.reader.Position()); err != nil {
				t.Fatal(err)
			}
			there := watch(t, r.stream, r.reader.Position())
			r.reader, r.wake, r.resets = there.reader, there.wake, append(r.resets, there.resets...)
		}
	}
	if len(r.resets) > 0 || !strings.HasPrefix(text(100_000), r.text) {
		t.Errorf("resets %v, text %q", r.resets, r.text)
	}
	mirror, made := b.find(t, s.ID), s.State().Bytes
	if err := mirror.CatchUpToByte(made); err != nil || mirror.State().Bytes < made {
		t.Errorf("%v, %+v", err, mirror.State())
	}
	made = s.State().Bytes
	if err := mirror.Refresh(); err != nil || mirror.State().Bytes < made {
		t.Errorf("%v, %+v", err, mirror.State())
	}

	// A position that the stream never had is detected; if no node can be asked, the position is accepted.
	p := r.reader.Position()
	p.Offset += 1_000_000
	if err := r.stream.CatchUp(p); err != nil || r.stream.ResetAt(p) == nil {
		t.Errorf("a place that is none: %v, %v", err, r.stream.ResetAt(p))
	}
	b.line.Cut()
	if err := b.find(t, s.ID).CatchUp(p); !errors.Is(err, errs.ErrUnavailable) {
		t.Errorf("without Redis: %v", err)
	}
	s.Cancel("test")
}
