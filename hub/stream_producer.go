package hub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// ProducerRef names one request of an external producer, for fencing and idempotency (protocol/durable-streams.md 1.4).
// The zero value is a producer without a name: it writes while nobody with a name does.
type ProducerRef struct {
	ID    string
	Epoch int64 // grows with each life of the producer; a lower one is fenced off
	Seq   int64 // 0, 1, 2 … for each request of an epoch
}

// Part is one entry to be appended: text, or a structured event.
type Part struct {
	Text string          `json:"text,omitempty"`
	Name string          `json:"name,omitempty"` // "" for text
	Data json.RawMessage `json:"data,omitempty"` // compact JSON
}

// Receipt is the answer to an append: where the stream stands and who watches.
type Receipt struct {
	Position  log.Position
	Status    Status
	Watchers  int
	Lag       int  // entries that no watcher was given yet
	Cancelled bool // somebody ended the stream: stop producing
	Duplicate bool // the request had been taken before; nothing was appended
}

// FencedError says that a producer with a newer epoch writes the stream. It matches ErrForbidden.
type FencedError struct {
	Epoch int64
	Job   bool // the stream is a job's: who may write it is for the hub to say
}

func (e *FencedError) Error() string {
	if e.Job {
		return fmt.Sprintf("the stream is written by the worker that holds its job (Producer-Epoch %d), and nobody else", e.Epoch)
	}
	return fmt.Sprintf("the stream belongs to a producer of epoch %d; to take it on, send a higher Producer-Epoch", e.Epoch)
}

// Is reports that a FencedError is an ErrForbidden.
func (e *FencedError) Is(target error) bool { return target == errs.ErrForbidden }

// GapError says that requests of the producer are missing before this one. It matches ErrConflict.
type GapError struct{ Expected, Received int64 }

func (e *GapError) Error() string {
	return fmt.Sprintf("Producer-Seq: expected %d, got %d; send the missing requests first", e.Expected, e.Received)
}

// Is reports that a GapError is an ErrConflict.
func (e *GapError) Is(target error) bool { return target == errs.ErrConflict }

// LeaseError says that another producer holds the stream. It matches ErrConflict.
type LeaseError struct{ Left time.Duration }

func (e *LeaseError) Error() string {
	return fmt.Sprintf("another producer holds the stream's lease for %v more", e.Left.Round(time.Second))
}

// Is reports that a LeaseError is an ErrConflict.
func (e *LeaseError) Is(target error) bool { return target == errs.ErrConflict }

// EndedError says that the stream takes nothing more. It matches ErrClosed.
type EndedError struct{ Receipt Receipt }

func (e *EndedError) Error() string {
	return "the stream is " + string(e.Receipt.Status) + " and takes nothing more"
}

// Is reports that an EndedError is an ErrClosed.
func (e *EndedError) Is(target error) bool { return target == errs.ErrClosed }

// producerState is what a stream knows of its external producers. Guarded by the stream's log.
type producerState struct {
	holder  string // the named producer that wrote last; "" for none
	epoch   int64  // of the holder
	known   map[string]*producerSeq
	pending []byte // the beginning of a UTF-8 sequence whose rest has not come
	lease   *time.Timer
	leased  time.Time // until when
	open    int       // uploads under way: while one is, the lease does not run
	current *Appender // the upload of a named producer that counts
}

// producerSeq is how far one producer got.
type producerSeq struct {
	epoch, last int64 // last: the newest request that is whole; -1 for none
	partial     int   // parts (or bytes of raw text) of request last+1 that were taken before its upload was cut
	closed      bool  // request last closed the stream
}

func (p *producerState) stopLease() {
	if p.lease != nil {
		p.lease.Stop()
		p.lease = nil
	}
}

// CreateStream makes a stream for an external producer. With an id in use by the same owner it returns that stream (old
// is true).
func (h *Hub) CreateStream(spec StreamSpec) (s *Stream, old bool, err error) {
	if spec.ID != "" {
		if err := ValidName("id", spec.ID); err != nil {
			return nil, false, err
		}
	}
	if err := h.cluster.checkLease(); err != nil {
		return nil, false, err
	}
	s, old, err = h.newStream(&spec, nil)
	if err != nil || old {
		return s, old, err
	}
	s.log.Lock()
	s.renewLease()
	s.armKeep(max(s.Keep.CancelAfter, firstWatcher))
	s.log.Unlock()
	h.announce(s)
	return s, false, nil
}

// renewLease lets the producer be silent for Limits.Lease more. The timer is left as it is: moving it with each append
// would cost more than the append. s.log is locked.
func (s *Stream) renewLease() {
	p := &s.producer
	if p.open > 0 || s.status.Ended() || s.remote != nil {
		return
	}
	p.leased = time.Now().Add(s.hub.limits.Lease)
	if p.lease == nil {
		p.lease = time.AfterFunc(s.hub.limits.Lease, s.leaseDue)
	}
}

// leaseLeft returns how long the producer may be silent yet. One that writes, or is refused, is not silent. s.log is
// locked.
func (s *Stream) leaseLeft() time.Duration {
	if s.producer.open > 0 || s.hub.cluster.checkLease() != nil {
		return s.hub.limits.Lease
	}
	return time.Until(s.producer.leased)
}

// leaseDue ends the stream if its producer has been silent for too long; if not, it looks again when that can be.
func (s *Stream) leaseDue() {
	if s.job != nil {
		s.hub.jobLeaseDue(s.job)
		return
	}
	s.log.Lock()
	p := &s.producer
	left := s.leaseLeft()
	if p.lease != nil && left > 0 {
		p.lease.Reset(left)
	}
	due := p.lease != nil && left <= 0
	s.log.Unlock()
	if due {
		s.finish(StatusInterrupted, Ending{Error: &EndError{Code: "lease_expired", Message: "the producer fell silent"}, by: "lease"})
	}
}

// Appender is one request of an external producer, whole or as a long upload. It belongs to one goroutine, which must
// End or Abort it.
type Appender struct {
	s         *Stream
	ref       ProducerRef
	seq       *producerSeq // nil for a producer without a name
	skip      int          // parts or bytes that an earlier, cut upload of the same request brought already
	taken     int
	duplicate bool
	done      bool
	remote    *remoteAppender // where another node writes the stream; then the rest is there
}

// Append begins a request. Errors: *EndedError, *FencedError, *GapError, *LeaseError, *FieldError; ErrForbidden for a
// stream that a provider of this server writes; ErrUnavailable while the stream's node cannot promise to keep anything.
// A repetition of a finished request gives an Appender that takes nothing and answers Duplicate.
func (s *Stream) Append(ref ProducerRef) (*Appender, error) {
	if s.provided {
		return nil, fmt.Errorf("the stream is written by this server's provider: %w", errs.ErrForbidden)
	}
	if s.isRemote() {
		return s.appendRemote(ref)
	}
	if err := s.confirmOwned(); err != nil {
		return nil, err
	}
	a := &Appender{s: s, ref: ref}
	s.log.Lock()
	if s.remote != nil {
		s.log.Unlock()
		return nil, errMoved
	}
	at, interrupted := s.log.Position(s.log.Tail()), s.status == StatusInterrupted
	err := s.openLocked(a)
	var again *announcer
	if interrupted && !s.status.Ended() {
		again = s.announcerLocked(at)
	}
	s.log.Unlock()
	again.start(func() { again.started(at) })
	return a, err
}

// openLocked admits a request, and opens it.
func (s *Stream) openLocked(a *Appender) error {
	if err := s.admit(a); err != nil || a.duplicate {
		return err
	}
	if a.seq != nil {
		a.skip = a.seq.partial
		s.producer.current = a
	}
	s.producer.open++
	s.startLocked()
	return nil
}

// AppendWhole is Append for a request whose body is known before its first part is added. Where another node writes the
// stream, that is asked once, by End: what Append, Add and AddText would have refused, End does.
func (s *Stream) AppendWhole(ref ProducerRef) (*Appender, error) {
	if s.provided || !s.isRemote() {
		return s.Append(ref)
	}
	return &Appender{s: s, ref: ref, remote: &remoteAppender{whole: &wholeBody{}}}, nil
}

// admit applies the rules of fencing and idempotency to a new request.
func (s *Stream) admit(a *Appender) error {
	p := &s.producer
	if s.job != nil && !s.status.Ended() && (a.ref.ID == "" || a.ref.ID != p.holder || a.ref.Epoch != p.epoch) {
		return &FencedError{Epoch: p.epoch, Job: true}
	}
	if a.ref.ID == "" {
		switch {
		case s.status.Ended():
			return s.endedError()
		case p.holder != "":
			return &LeaseError{Left: time.Until(p.leased)}
		}
		return nil
	}
	known := p.known[a.ref.ID]
	if known != nil && a.ref.Epoch == known.epoch && a.ref.Seq <= known.last && (!s.status.Ended() || s.status == StatusInterrupted || known.closed) {
		a.duplicate = true
		return nil
	}
	switch {
	case s.status.Ended() && s.status != StatusInterrupted:
		return s.endedError()
	case s.status == StatusInterrupted && a.ref.Epoch <= p.epoch && p.holder != "", known != nil && a.ref.Epoch < known.epoch:
		return &FencedError{Epoch: p.epoch}
	case s.status != StatusInterrupted && p.holder != "" && p.holder != a.ref.ID:
		return &LeaseError{Left: time.Until(p.leased)}
	}
	return s.take(a, known)
}

// take makes the request's producer the holder, where its sequence allows it.
func (s *Stream) take(a *Appender, known *producerSeq) error {
	p := &s.producer
	if known == nil || a.ref.Epoch > known.epoch {
		if a.ref.Seq != 0 {
			if known != nil {
				return errs.Invalid("Producer-Seq", "must be 0 in the first request of a new Producer-Epoch; got %d", a.ref.Seq)
			}
			return &GapError{Expected: 0, Received: a.ref.Seq}
		}
		known = &producerSeq{epoch: a.ref.Epoch, last: -1}
	} else if a.ref.Seq != known.last+1 {
		return &GapError{Expected: known.last + 1, Received: a.ref.Seq}
	}
	if p.known == nil {
		p.known = make(map[string]*producerSeq)
	}
	p.known[a.ref.ID], p.holder, p.epoch, a.seq = known, a.ref.ID, a.ref.Epoch, known
	if s.status == StatusInterrupted {
		s.resumeLocked()
	}
	return nil
}

// resumeLocked lets an interrupted stream run again under its new producer. The end that its readers saw is no longer
// its last entry.
func (s *Stream) resumeLocked() {
	s.status, s.ending, s.ended = StatusRunning, Ending{}, time.Time{}
	s.doneC = make(chan struct{})
	s.producer.pending = nil
	s.hub.streams.resumed(s)
}

func (s *Stream) endedError() error { return &EndedError{Receipt: s.receiptLocked()} }

func (s *Stream) receiptLocked() Receipt {
	return Receipt{
		Position: s.log.Position(s.log.Tail()), Status: s.status, Watchers: s.watchersLocked(), Lag: s.lagLocked(),
		Cancelled: s.status == StatusCancelled || s.status == StatusSuperseded,
	}
}

// Duplicate reports that the request was taken before: its body need not be read.
func (a *Appender) Duplicate() bool { return a.duplicate }

// Add appends parts, all or none. Errors: *EndedError once the stream was cancelled, *FencedError when another upload
// of the same request has taken over, *LimitError.
func (a *Appender) Add(parts []Part) error {
	if a.remote != nil {
		return a.addRemote(parts, nil)
	}
	if n := min(a.skip, len(parts)); n > 0 {
		a.skip -= n
		parts = parts[n:]
	}
	return a.locked(func() error { return a.addLocked(parts, len(parts)) })
}

// AddText appends raw text. Its pieces may be cut anywhere: the beginning of a UTF-8 sequence waits for its rest. Bytes
// that are not UTF-8 are a *FieldError, and nothing of the piece is kept.
func (a *Appender) AddText(piece []byte) error {
	if a.remote != nil {
		return a.addRemote(nil, piece)
	}
	if n := min(a.skip, len(piece)); n > 0 {
		a.skip -= n
		piece = piece[n:]
	}
	return a.locked(func() error {
		p := &a.s.producer
		text := append(p.pending[:len(p.pending):len(p.pending)], piece...)
		whole := wholeRunes(text)
		if i := invalidUTF8(text[:whole]); i >= 0 {
			return errs.Invalid("body", "is not valid UTF-8 at byte %d of the upload", a.taken+i-len(p.pending))
		}
		if err := a.addLocked([]Part{{Text: string(text[:whole])}}, len(piece)); err != nil {
			return err
		}
		p.pending = bytes.Clone(text[whole:])
		return nil
	})
}

// locked runs f in the stream's critical section, where the appender still counts.
func (a *Appender) locked(f func() error) error {
	if err := a.s.hub.cluster.checkLease(); err != nil {
		return err
	}
	if err := a.s.hub.makeRoom(); err != nil {
		return err
	}
	a.s.log.Lock()
	defer func() { a.s.log.UnlockAndWake() }()
	switch {
	case a.s.remote != nil:
		return errMoved
	case a.s.status.Ended():
		return a.s.endedError()
	case a.seq != nil && a.s.producer.current != a:
		return &FencedError{Epoch: a.s.producer.epoch}
	}
	return f()
}

func (a *Appender) addLocked(parts []Part, units int) error {
	size := 0
	for _, p := range parts {
		size += len(p.Text) + len(p.Data)
	}
	if err := a.s.growLocked(size); err != nil {
		return err
	}
	for _, p := range parts {
		a.s.appendPartLocked(p)
	}
	a.taken += units
	if a.seq != nil {
		a.seq.partial += units
	}
	return nil
}

func (s *Stream) appendPartLocked(p Part) {
	switch {
	case p.Name != "":
		s.countLocked()
		s.appendEventLocked(&log.Event{Kind: log.StreamEvent, Name: p.Name, Data: p.Data})
	case p.Text != "":
		s.countLocked()
		s.appendTextLocked(p.Text)
	}
}

// End finishes the request: it counts as taken from now on. A non-nil ending closes the stream in the same step.
// Errors: those of Append and Add.
func (a *Appender) End(ending *Ending) (Receipt, error) {
	if a.remote != nil {
		return a.endRemote(ending)
	}
	s := a.s
	if err := s.confirmOwned(); err != nil {
		a.Abort() // the same request, sent again, goes on behind what came
		return Receipt{}, err
	}
	s.log.Lock()
	if a.duplicate {
		defer s.log.Unlock()
		r := s.receiptLocked()
		r.Duplicate = true
		return r, nil
	}
	err := a.endLocked(ending)
	ended := err == nil && ending != nil
	receipt := s.receiptLocked()
	s.log.UnlockAndWake()
	if ended {
		s.hub.streamEnded(s)
	}
	return receipt, err
}

func (a *Appender) endLocked(ending *Ending) error {
	s := a.s
	defer a.release()
	switch {
	case s.remote != nil:
		return errMoved
	case s.status.Ended():
		return s.endedError()
	case a.seq != nil && s.producer.current != a:
		return &FencedError{Epoch: s.producer.epoch}
	case ending != nil && len(s.producer.pending) > 0:
		return errs.Invalid("body", "ends inside a UTF-8 sequence")
	}
	if a.seq != nil {
		a.seq.last, a.seq.partial, a.seq.closed = a.ref.Seq, 0, ending != nil
	}
	if ending != nil {
		s.endLocked(ending.Status, *ending)
	}
	return nil
}

// Abort ends a request whose upload was cut. What came is kept; the same request, sent again, goes on behind it.
func (a *Appender) Abort() {
	switch {
	case a.duplicate, a.done:
	case a.remote != nil && a.remote.whole != nil:
		a.done = true // its node has heard of nothing
	case a.remote != nil:
		a.done = true
		_, _ = a.askUpload(callAbortUpload, &uploadQuestion{}, nil) // or its silence ends it
	default:
		a.s.log.Lock()
		defer a.s.log.Unlock()
		a.release()
	}
}

// release ends the upload's hold on the lease.
func (a *Appender) release() {
	if a.done {
		return
	}
	a.done = true
	a.s.producer.open--
	a.s.renewLease()
}

// wholeRunes returns the length of b without an unfinished UTF-8 sequence at its end.
func wholeRunes(b []byte) int {
	for i := 1; i <= min(utf8.UTFMax-1, len(b)); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-i:]) {
				return len(b) - i
			}
			break
		}
	}
	return len(b)
}

// invalidUTF8 returns the index of the first byte that is not UTF-8, or -1.
func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// lagLocked returns how many entries no reader was given yet.
func (s *Stream) lagLocked() int {
	delivered, _ := s.log.Delivered()
	return int(s.log.Tail() - delivered)
}
