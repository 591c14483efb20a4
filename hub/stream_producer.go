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

// ProducerRef names one request of an external producer, for fencing and idempotency: the headers Producer-Id,
// Producer-Epoch and Producer-Seq of the Durable Streams protocol (PROTOCOL.md 5.2.1). The zero value is a producer
// without a name, which may write while no named producer has the lease.
type ProducerRef struct {
	ID    string
	Epoch int64 // the producer raises it when it restarts; requests of lower epochs are fenced off
	Seq   int64 // 0, 1, 2 … for each request of an epoch
}

// Part is one entry to be appended: text, or a structured event.
type Part struct {
	Text string          `json:"text,omitempty"`
	Name string          `json:"name,omitempty"` // "" for text
	Data json.RawMessage `json:"data,omitempty"` // compact JSON
}

// Receipt is the answer to an append: the stream's state and its watchers.
type Receipt struct {
	Position  log.Position
	Status    Status
	Watchers  int
	Lag       int  // entries that no watcher has been given yet
	Cancelled bool // somebody ended the stream: stop producing
	Duplicate bool // the request was accepted earlier; nothing was appended
}

// FencedError says that another producer, or the same one with a higher epoch, writes the stream. It matches
// ErrForbidden.
type FencedError struct {
	Epoch int64 // of the producer that may write
	Job   bool  // the stream is a job's: only the worker that the hub assigned it to may write
}

func (e *FencedError) Error() string {
	if e.Job {
		return fmt.Sprintf("only the worker that holds the stream's job (Producer-Epoch %d) may write it", e.Epoch)
	}
	return fmt.Sprintf("the stream belongs to a producer of epoch %d; to resume it, send a higher Producer-Epoch",
		e.Epoch)
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

// LeaseError says that another producer holds the stream's lease. It matches ErrConflict.
type LeaseError struct{ Left time.Duration }

func (e *LeaseError) Error() string {
	return fmt.Sprintf("another producer holds the stream's lease for %v more", e.Left.Round(time.Second))
}

// Is reports that a LeaseError is an ErrConflict.
func (e *LeaseError) Is(target error) bool { return target == errs.ErrConflict }

// EndedError says that the stream has ended. It matches ErrClosed.
type EndedError struct{ Receipt Receipt }

func (e *EndedError) Error() string {
	return "the stream is " + string(e.Receipt.Status) + " and takes nothing more"
}

// Is reports that an EndedError is an ErrClosed.
func (e *EndedError) Is(target error) bool { return target == errs.ErrClosed }

// producerState is the state of a stream's external producers. Guarded by the stream's log.
type producerState struct {
	holder     string // the named producer with the lease, or that had it last; "" for none
	epoch      int64  // of the holder
	progress   map[string]*producerProgress
	pending    []byte // the beginning of a UTF-8 sequence whose rest has not been received
	lease      *time.Timer
	leaseUntil time.Time // the timer may run out earlier: then it is set again
	open       int       // open uploads: while there is one, the lease does not expire
	current    *Appender // the newest upload of a named producer; older ones are fenced off
}

// producerProgress says which requests of one producer were accepted.
type producerProgress struct {
	epoch, last int64 // last: the newest complete request; -1 for none
	partial     int   // parts, or bytes of raw text, of request last+1 that were appended before its upload was cut
	closed      bool  // request last closed the stream
}

func (p *producerState) stopLease() {
	if p.lease != nil {
		p.lease.Stop()
		p.lease = nil
	}
}

// CreateStream creates a stream for an external producer. If the same owner has made the same request under the same
// id, it returns that stream (old is true). Errors: newStream's; ErrUnavailable if this node's lease does not hold.
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
	s.extendLease()
	s.armFirstIdleCancel()
	s.log.Unlock()
	s.announce()
	return s, false, nil
}

// extendLease extends the producer's lease to Limits.Lease from now. It does not reset a running timer, which would
// cost more than the append; leaseDue does. s.log is locked.
func (s *Stream) extendLease() {
	p := &s.producer
	if p.open > 0 || s.status.Ended() || s.remote != nil {
		return
	}
	p.leaseUntil = time.Now().Add(s.hub.limits.Lease)
	if p.lease == nil {
		p.lease = time.AfterFunc(s.hub.limits.Lease, s.leaseDue)
	}
}

// leaseLeftLocked returns the time until the lease expires. It does not expire during an upload, nor while this node
// must refuse what producers send. s.log is locked.
func (s *Stream) leaseLeftLocked() time.Duration {
	if s.producer.open > 0 || s.hub.cluster.checkLease() != nil {
		return s.hub.limits.Lease
	}
	return time.Until(s.producer.leaseUntil)
}

// leaseDue runs when the lease's timer does. It ends the stream if the lease has expired, and else sets the timer
// again.
func (s *Stream) leaseDue() {
	if s.job != nil {
		s.hub.jobs.leaseDue(s.job)
		return
	}
	s.log.Lock()
	p := &s.producer
	left := s.leaseLeftLocked()
	if p.lease != nil && left > 0 {
		p.lease.Reset(left)
	}
	due := p.lease != nil && left <= 0
	s.log.Unlock()
	if due {
		e := EndError{Code: "lease_expired", Message: "the producer fell silent"}
		s.endLocal(StatusInterrupted, Ending{Error: &e, by: "lease"})
	}
}

// Appender is one append request of an external producer. It belongs to one goroutine, which must call End or Abort.
type Appender struct {
	s         *Stream
	ref       ProducerRef
	progress  *producerProgress // nil for a producer without a name
	skip      int               // parts or bytes that an earlier, cut upload of the same request appended already
	appended  int               // parts or bytes
	duplicate bool
	done      bool
	remote    *remoteAppender // if another node owns the stream: its Appender does the rest
}

// Append begins an append request. Errors: *EndedError, *FencedError, *GapError, *LeaseError, *FieldError; ErrForbidden
// for a stream that a provider of this server writes; ErrUnavailable if the owner node cannot be asked, or its lease
// does not hold. For a repetition of a complete request, the Appender's Duplicate is true and it appends nothing.
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

// openLocked checks a request, and opens its upload.
func (s *Stream) openLocked(a *Appender) error {
	if err := s.admitLocked(a); err != nil || a.duplicate {
		return err
	}
	if a.progress != nil {
		a.skip = a.progress.partial
		s.producer.current = a
	}
	s.producer.open++
	s.startLocked()
	return nil
}

// AppendWhole is Append for a request whose whole body is in memory. If another node owns the stream, End sends it all
// in one call, and also returns the errors of Append, Add and AddText.
func (s *Stream) AppendWhole(ref ProducerRef) (*Appender, error) {
	if s.provided || !s.isRemote() {
		return s.Append(ref)
	}
	return &Appender{s: s, ref: ref, remote: &remoteAppender{whole: &wholeBody{}}}, nil
}

// admitLocked applies the rules of fencing and idempotency to a new request, and gives its producer the lease.
func (s *Stream) admitLocked(a *Appender) error {
	p := &s.producer
	if s.job != nil && !s.status.Ended() && (a.ref.ID == "" || a.ref.ID != p.holder || a.ref.Epoch != p.epoch) {
		return &FencedError{Epoch: p.epoch, Job: true}
	}
	if a.ref.ID == "" {
		switch {
		case s.status.Ended():
			return s.endedErrorLocked()
		case p.holder != "":
			return &LeaseError{Left: time.Until(p.leaseUntil)}
		}
		return nil
	}
	progress := p.progress[a.ref.ID]
	repeated := progress != nil && a.ref.Epoch == progress.epoch && a.ref.Seq <= progress.last
	if repeated && (!s.status.Ended() || s.status == StatusInterrupted || progress.closed) {
		a.duplicate = true
		return nil
	}
	switch {
	case s.status.Ended() && s.status != StatusInterrupted:
		return s.endedErrorLocked()
	case s.status == StatusInterrupted && a.ref.Epoch <= p.epoch && p.holder != "",
		progress != nil && a.ref.Epoch < progress.epoch:
		return &FencedError{Epoch: p.epoch}
	case s.status != StatusInterrupted && p.holder != "" && p.holder != a.ref.ID:
		return &LeaseError{Left: time.Until(p.leaseUntil)}
	}
	return s.acquireLocked(a, progress)
}

// acquireLocked gives the lease to the request's producer, if its Seq is the next one. An interrupted stream resumes.
func (s *Stream) acquireLocked(a *Appender, progress *producerProgress) error {
	p := &s.producer
	if progress == nil || a.ref.Epoch > progress.epoch {
		if a.ref.Seq != 0 {
			if progress != nil {
				return errs.Invalid("Producer-Seq",
					"must be 0 in the first request of a new Producer-Epoch; got %d", a.ref.Seq)
			}
			return &GapError{Expected: 0, Received: a.ref.Seq}
		}
		progress = &producerProgress{epoch: a.ref.Epoch, last: -1}
	} else if a.ref.Seq != progress.last+1 {
		return &GapError{Expected: progress.last + 1, Received: a.ref.Seq}
	}
	if p.progress == nil {
		p.progress = make(map[string]*producerProgress)
	}
	p.progress[a.ref.ID], p.holder, p.epoch, a.progress = progress, a.ref.ID, a.ref.Epoch, progress
	if s.status == StatusInterrupted {
		s.resumeLocked()
	}
	return nil
}

// resumeLocked lets an interrupted stream run again. Readers skip its old end entry, which is not the last one any
// longer.
func (s *Stream) resumeLocked() {
	s.status, s.ending, s.ended = StatusRunning, Ending{}, time.Time{}
	s.doneC = make(chan struct{})
	s.producer.pending = nil
	s.hub.streams.resumed(s)
}

func (s *Stream) endedErrorLocked() error { return &EndedError{Receipt: s.receiptLocked()} }

func (s *Stream) receiptLocked() Receipt {
	return Receipt{
		Position: s.log.Position(s.log.Tail()), Status: s.status, Watchers: s.watchersLocked(), Lag: s.lagLocked(),
		Cancelled: s.status == StatusCancelled || s.status == StatusSuperseded,
	}
}

// Duplicate reports whether the request was accepted earlier: its body need not be read.
func (a *Appender) Duplicate() bool { return a.duplicate }

// Add appends parts, all or none. Errors: *EndedError, *FencedError after a newer upload has begun, *LimitError,
// ErrUnavailable.
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

// AddText appends raw text. Pieces may be cut anywhere: the beginning of a UTF-8 sequence is buffered until the rest is
// received. If the piece is not valid UTF-8, nothing of it is appended. Errors: Add's; *FieldError for invalid UTF-8.
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
			return errs.Invalid("body", "is not valid UTF-8 at byte %d of the upload", a.appended+i-len(p.pending))
		}
		if err := a.addLocked([]Part{{Text: string(text[:whole])}}, len(piece)); err != nil {
			return err
		}
		p.pending = bytes.Clone(text[whole:])
		return nil
	})
}

// locked runs f with the stream locked, if the appender may still append.
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
		return a.s.endedErrorLocked()
	case a.progress != nil && a.s.producer.current != a:
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
	a.appended += units
	if a.progress != nil {
		a.progress.partial += units
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

// End completes the request: from now on a repetition is a duplicate. A non-nil ending ends the stream in the same
// step. Errors: those of Append and Add.
func (a *Appender) End(ending *Ending) (Receipt, error) {
	if a.remote != nil {
		return a.endRemote(ending)
	}
	s := a.s
	if err := s.confirmOwned(); err != nil {
		a.Abort() // the same request, sent again, continues after what was appended
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
		s.afterEnd()
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
		return s.endedErrorLocked()
	case a.progress != nil && s.producer.current != a:
		return &FencedError{Epoch: s.producer.epoch}
	case ending != nil && len(s.producer.pending) > 0:
		return errs.Invalid("body", "ends inside a UTF-8 sequence")
	}
	if a.progress != nil {
		a.progress.last, a.progress.partial, a.progress.closed = a.ref.Seq, 0, ending != nil
	}
	if ending != nil {
		s.endLocked(ending.Status, *ending)
	}
	return nil
}

// Abort ends a request whose upload was cut. What was appended stays; the same request, sent again, continues after it.
func (a *Appender) Abort() {
	switch {
	case a.duplicate, a.done:
	case a.remote != nil && a.remote.whole != nil:
		a.done = true // nothing has been sent to the owner
	case a.remote != nil:
		a.done = true
		_, _ = a.askUpload(callAbortUpload, &uploadQuestion{}, nil) // on failure, uploadTimeout ends it
	default:
		a.s.log.Lock()
		defer a.s.log.Unlock()
		a.release()
	}
}

// release closes the upload, so that the lease can expire again.
func (a *Appender) release() {
	if a.done {
		return
	}
	a.done = true
	a.s.producer.open--
	a.s.extendLease()
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

// lagLocked returns how many entries no watcher has been given yet.
func (s *Stream) lagLocked() int {
	delivered, _ := s.log.Delivered()
	return int(s.log.Tail() - delivered)
}
