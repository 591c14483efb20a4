package clustertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// streamModel is one stream, its writer and its readers.
type streamModel struct {
	w         *world
	owner, id string
	topic     string                  // where it is announced; "": nowhere
	keeps     bool                    // it ends when nobody watches it
	script    func(text string) error // what its text may be
	whole     func(text string) bool  // whether that is all of it; nil: it is not known

	mu      sync.Mutex
	made    bool
	texts   map[string]string    // by epoch, the longest that was seen
	taken   map[string]time.Time // pieces that were answered with success, and when they were sent
	readers []*streamReader
}

func (w *world) newStreamModel(owner string) *streamModel {
	return &streamModel{w: w, owner: owner, texts: make(map[string]string), taken: make(map[string]time.Time)}
}

// stream is one of an external producer.
func (w *world) stream(i int, rng *rand.Rand) {
	m := w.newStreamModel(fmt.Sprintf("owner%d", i))
	m.id, m.topic, m.script = fmt.Sprintf("stream%d", i), fmt.Sprintf("streams:%d", i), inOrder
	own, cancels := child(rng), rng.IntN(4) == 0
	w.work.Go(func() { m.produce(own) })
	m.addReaders(rng)
	if cancels {
		own := child(rng)
		w.work.Go(func() { m.cancel(own) })
	}
	w.checks = append(w.checks, m.check)
}

func (m *streamModel) addReaders(rng *rand.Rand) {
	for r := range 1 + rng.IntN(3) {
		own := child(rng)
		reader := &streamReader{m: m, name: fmt.Sprintf("reader %d of %s", r, m.owner)}
		m.readers = append(m.readers, reader)
		m.w.work.Go(func() { reader.run(own) })
	}
}

var pieces = regexp.MustCompile(`(\d+)\.(\d+);`)

// inOrder checks a producer's text: its requests, each once and in order, and no epoch after a later one.
func inOrder(text string) error {
	var epoch, next int64
	rest := text
	for rest != "" {
		at := pieces.FindStringSubmatchIndex(rest)
		if at == nil || at[0] != 0 {
			return fmt.Errorf("%q is no piece", rest)
		}
		e, _ := strconv.ParseInt(rest[at[2]:at[3]], 10, 64)
		n, _ := strconv.ParseInt(rest[at[4]:at[5]], 10, 64)
		if e > epoch {
			epoch, next = e, 0
		}
		if e != epoch || n != next {
			return fmt.Errorf("%d.%d comes where %d.%d is next", e, n, epoch, next)
		}
		next++
		rest = rest[at[1]:]
	}
	return nil
}

// produce writes a piece for each request, each again until it is answered, and goes on under a higher epoch where it
// has lost the stream, as producers do.
func (m *streamModel) produce(rng *rand.Rand) {
	m.keeps = rng.IntN(6) == 0
	if !m.create(rng) {
		return
	}
	w := m.w
	m.mu.Lock()
	m.made = true
	m.mu.Unlock()
	ref := hub.ProducerRef{ID: "p", Epoch: 1}
	silence := -1
	if rng.IntN(4) == 0 {
		silence = rng.IntN(4)
	}
	for n, ending := 0, false; !ending; n++ {
		if n == silence { // for longer than a producer may be
			time.Sleep(w.scaled(35 * time.Second))
		}
		ending = !w.pause(rng, 2*time.Second)
		if !m.request(rng, &ref, ending) {
			return
		}
	}
}

// create makes the stream, or finds it made.
func (m *streamModel) create(rng *rand.Rand) bool {
	w := m.w
	for {
		on, done := w.use(rng)
		spec := hub.StreamSpec{ID: m.id, Kind: "test", Owner: m.owner, Topic: m.topic}
		if m.keeps {
			spec.Idle.CancelAfter = w.scaled(3 * time.Second)
		}
		_, _, err := on.CreateStream(spec)
		done()
		w.tracef("%s is made on %s: %v", m.id, on.name, err)
		if err == nil {
			return true
		}
		if !passing(err) && !errors.Is(err, errs.ErrNotFound) {
			w.failf("%s cannot be made: %v", m.id, err)
			return false
		}
		if !w.pause(rng, time.Second) {
			return false
		}
	}
}

// request is one request, until it is answered. It reports whether the stream goes on.
func (m *streamModel) request(rng *rand.Rand, ref *hub.ProducerRef, ending bool) bool {
	w := m.w
	for tries := 0; ; tries++ {
		if tries == 300 {
			w.failf("%s: %d.%d is not taken, however often it is sent", m.id, ref.Epoch, ref.Seq)
			return false
		}
		piece := fmt.Sprintf("%d.%d;", ref.Epoch, ref.Seq)
		on, done := w.use(rng)
		began, cutFor := time.Now(), on.cutFor()
		receipt, err := m.send(on, *ref, piece, ending)
		done()
		w.tracef("%s: %s on %s: %v %s", m.id, piece, on.name, err, receipt.Status)
		var fenced *hub.FencedError
		var gap *hub.GapError
		var ended *hub.EndedError
		switch {
		case err == nil:
			if cutFor > w.lease+w.lease/2 {
				w.failf("%s: %s was cut off for %v, and answers %s with success", m.id, on.name, cutFor, piece)
			}
			m.mu.Lock()
			m.taken[piece] = began
			m.mu.Unlock()
			ref.Seq++
			return !ending
		case errors.As(err, &fenced):
			ref.Epoch, ref.Seq = max(fenced.Epoch, ref.Epoch)+1, 0
		case errors.As(err, &gap):
			ref.Seq = gap.Expected // what was answered is lost with its node, and is sent again
		case errors.As(err, &ended):
			return false
		case errors.Is(err, errs.ErrInvalid): // the server knows of no such epoch: its node is lost
			ref.Epoch, ref.Seq = ref.Epoch+1, 0
		case errors.Is(err, errs.ErrNotFound):
			if tries%5 == 4 && !m.create(rng) { // its registration was not answered, or its node has died with it
				return false
			}
		case passing(err), errors.As(err, new(*hub.LeaseError)):
		default:
			w.failf("%s: %s on %s: %v", m.id, piece, on.name, err)
			return false
		}
		w.rest(rng, time.Second)
	}
}

func (m *streamModel) send(on *node, ref hub.ProducerRef, piece string, ending bool) (hub.Receipt, error) {
	return m.sendTo(on, m.id, ref, piece, ending)
}

// sendTo makes one request: as a whole, or as an upload of pieces.
func (m *streamModel) sendTo(
	on *node, id string, ref hub.ProducerRef, piece string, ending bool,
) (receipt hub.Receipt, err error) {
	s, err := on.Stream(m.owner, id)
	if err != nil {
		return receipt, err
	}
	begin := s.AppendWhole
	if ref.Seq%4 == 3 && m.w.haste == 1 { // a cut upload takes a minute of real time
		begin = s.Append
	}
	a, err := begin(ref)
	if err != nil {
		return receipt, err
	}
	if !a.Duplicate() {
		if err := a.Add([]hub.Part{{Text: piece}}); err != nil {
			a.Abort()
			return receipt, err
		}
	}
	var end *hub.Ending
	if ending {
		end = &hub.Ending{Status: hub.StatusDone}
	}
	return a.End(end)
}

// cancel ends the stream from anywhere, at some time.
func (m *streamModel) cancel(rng *rand.Rand) {
	m.w.rest(rng, active)
	on, done := m.w.use(rng)
	defer done()
	if s, err := on.Stream(m.owner, m.id); err == nil {
		s.Cancel("eve")
		m.w.tracef("%s is cancelled on %s: %s", m.id, on.name, s.Status())
	}
}

// saw compares what a reader has of an epoch with what others have: within one, there is one writer.
func (m *streamModel) saw(r *streamReader, epoch string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	had := m.texts[epoch]
	if n := min(len(had), len(r.text)); had[:n] != r.text[:n] {
		m.w.failf("%s: two texts in the epoch %s: %q and, on %s, %q", r.name, epoch, had, r.on.name, r.text)
	}
	if len(r.text) > len(had) {
		m.texts[epoch] = r.text
	}
}

// streamReader reads a stream, now here, now there.
type streamReader struct {
	m      *streamModel
	name   string
	after  log.Position
	on     *node
	stream *hub.Stream
	reader *log.Reader
	wake   *log.Wake
	text   string
	end    hub.Status // that it was told last; "": none
	ended  time.Time
	gone   bool // there was no such stream, when it was last asked for
}

func (r *streamReader) run(rng *rand.Rand) {
	for more := true; more; {
		if r.reader == nil && !r.open(rng) {
			more = r.m.w.pause(rng, time.Second)
			continue
		}
		r.read()
		switch rng.IntN(6) {
		case 0:
			r.close()
		case 1:
			more = r.m.w.pause(rng, 3*time.Second)
		default:
			select {
			case <-r.wake.C:
			case <-r.on.gone:
				r.close()
			case <-r.m.w.over:
				more = false
			}
		}
	}
}

// open goes on where the reader was, as requests do.
func (r *streamReader) open(rng *rand.Rand) bool {
	on, done := r.m.w.use(rng)
	defer done()
	r.m.mu.Lock()
	id := r.m.id
	r.m.mu.Unlock()
	if id == "" {
		return false
	}
	s, err := on.Stream(r.m.owner, id)
	if err == nil {
		err = s.CatchUp(r.after)
	}
	if err != nil {
		if r.gone = errors.Is(err, errs.ErrNotFound); !passing(err) && !r.gone {
			r.m.w.failf("%s: %v", r.name, err)
		}
		return false
	}
	wake := log.NewWake()
	reader, reset := s.Watch(r.after, wake)
	r.on, r.stream, r.reader, r.wake = on, s, reader, wake
	r.reset(reset)
	return true
}

func (r *streamReader) reset(reset *log.Reset) {
	if reset != nil {
		r.m.w.tracef("%s on %s is reset: %s of %s, from %s", r.name, r.on.name, reset.Reason, reset.Requested, reset.From)
		r.text, r.end = "", ""
	}
}

func (r *streamReader) close() {
	if r.reader != nil {
		r.reader.Close()
		r.reader = nil
	}
}

func (r *streamReader) read() {
	for {
		items, reset := r.reader.Read(nil)
		r.reset(reset)
		r.after = r.reader.Position()
		if len(items) == 0 {
			return
		}
		for i := range items {
			item := &items[i]
			if item.At != len(r.text) {
				r.m.w.failf("%s on %s has %d bytes, and is given those at %d", r.name, r.on.name, len(r.text), item.At)
			}
			if r.text += string(item.Text); len(item.Text) > 0 {
				r.end = ""
			}
			if item.Event != nil && item.Event.Kind == log.EndEvent {
				_, rest, _ := strings.Cut(string(item.Event.Data), `{"status":"`)
				status, _, _ := strings.Cut(rest, `"`)
				r.end, r.ended = hub.Status(status), time.Now()
				r.m.w.tracef("%s on %s is told the end, %s, after %d bytes", r.name, r.on.name, status, len(r.text))
			}
		}
		r.m.saw(r, r.reader.Epoch())
		if err := r.m.script(r.text); err != nil {
			r.m.w.failf("%s on %s: %v", r.name, r.on.name, err)
		}
	}
}

// check compares the stream on all nodes, and what readers have of it.
func (m *streamModel) check() {
	w := m.w
	var final *hub.StreamState
	var where *node
	var missing []string
	for _, n := range w.all() {
		s, err := n.Stream(m.owner, m.id)
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s: %v", n.name, err))
			continue
		}
		st := s.State()
		if !st.Status.Ended() {
			w.failf("%s is %s on %s long after its last writer has gone", m.id, st.Status, n.name)
		}
		if final == nil {
			final, where = &st, n
			continue
		}
		// What the store has lost with its node ends on each node in a place of its own.
		samePlace := st.Position == final.Position || w.lossAfter(w.begun)
		if st.Status != final.Status || !samePlace || string(st.Text) != string(final.Text) {
			w.failf("%s is %s at %s with %q on %s, and %s at %s with %q on %s", m.id,
				final.Status, final.Position, final.Text, where.name, st.Status, st.Position, st.Text, n.name)
		}
	}
	if final == nil {
		if m.made && !w.lossAfter(w.begun) {
			m.wholeIsLost()
		}
		return
	}
	e := final.Ending.Error // one whose registration was not answered is forgotten where nobody has found it
	if withdrawn := e != nil && e.Code == "conflict"; len(missing) > 0 && !withdrawn && !w.lossAfter(w.begun) {
		w.failf("%s is found on %s, and not on %q", m.id, where.name, missing)
	}
	m.checkText(string(final.Text), final.Status)
	m.checkTopic(string(final.Text), final.Status)
	for _, r := range m.readers {
		m.checkReader(r, final)
	}
}

// wholeIsLost is for a stream that is nowhere.
func (m *streamModel) wholeIsLost() {
	for piece, at := range m.taken {
		if !m.w.deathNear(at) {
			m.w.failf("%s is nowhere, and %s was answered with success", m.id, piece)
			return
		}
	}
}

func (m *streamModel) checkText(text string, status hub.Status) {
	w := m.w
	if err := m.script(text); err != nil {
		w.failf("%s: %v", m.id, err)
	}
	if m.whole != nil && status == hub.StatusDone && !m.whole(text) {
		w.failf("%s is done with %d bytes", m.id, len(text))
	}
	for piece, at := range m.taken {
		if !strings.Contains(";"+text, ";"+piece) && !w.deathNear(at) && !w.lossAfter(at) {
			w.failf("%s: %s was answered with success, and is not in the text", m.id, piece)
		}
	}
}

// checkTopic looks at what the stream's topic was told of it.
func (m *streamModel) checkTopic(text string, status hub.Status) {
	w := m.w
	if m.topic == "" || w.plan.history > 0 || w.deathEver() {
		return
	}
	on := w.all()[0]
	r, _, err := on.Subscribe(m.topic, log.Position{}, log.NewWake())
	if err != nil {
		w.failf("%s cannot be read when all is whole", m.topic)
		return
	}
	defer r.Close()
	got, last := "", ""
	for {
		items, _ := r.Read(nil)
		if len(items) == 0 {
			break
		}
		for i := range items {
			var e struct{ Chunk string }
			if last = items[i].Event.Name; json.Unmarshal(items[i].Event.Payload(), &e) == nil {
				got += e.Chunk
			}
		}
	}
	want := "stream_error"
	if status == hub.StatusDone {
		want = "stream_done"
	}
	if got != text || last != want {
		w.failf("%s was told %q and %s at last; the stream is %s with %q", m.topic, got, last, status, text)
	}
}

func (m *streamModel) checkReader(r *streamReader, final *hub.StreamState) {
	w := m.w
	// Who has read a last end and left is told nothing more; one that was kept is the stream's.
	last := r.end != "" && r.end != hub.StatusInterrupted && r.reader == nil
	if last && r.end != final.Status && !w.deathNear(r.ended) {
		w.failf("%s was told %s, and %s is %s", r.name, r.end, m.id, final.Status)
	}
	if r.reader != nil {
		r.read()
		if r.end == hub.StatusInterrupted { // the stream may have been lost, and made again
			r.close()
		}
	}
	if r.reader == nil && !r.open(rand.New(rand.NewPCG(w.plan.seed, 6))) {
		if !r.gone || !w.lossAfter(w.begun) {
			w.failf("%s cannot go on when all is whole", r.name)
		}
		return
	}
	r.read()
	if r.text != string(final.Text) || r.end != final.Status {
		w.failf("%s on %s has %q and was told %q; %s is %s with %q", r.name, r.on.name, r.text, r.end,
			m.id, final.Status, final.Text)
	}
	r.close()
}
