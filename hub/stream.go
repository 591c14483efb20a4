package hub

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// Status is the state of a stream.
type Status string

// The statuses. All but the first two are final, except that a producer may resume an interrupted stream.
const (
	StatusQueued      Status = "queued"
	StatusRunning     Status = "running"
	StatusDone        Status = "done"
	StatusFailed      Status = "failed"
	StatusCancelled   Status = "cancelled"
	StatusSuperseded  Status = "superseded"
	StatusInterrupted Status = "interrupted"
)

// Ended reports whether nothing is written to the stream any longer.
func (s Status) Ended() bool { return s != StatusQueued && s != StatusRunning }

// Stream is one completion, analysis or other text that is written piece by piece: a log, a status and an account. It
// outlives the request that started it. Among several nodes one owns the stream and writes its log; the others may have
// mirrors of it. Safe for concurrent use.
type Stream struct {
	// Fixed at creation.
	ID          string
	Kind        string // "completion", "analysis", or the producer's word
	Topic       string // it is announced there, and whoever may subscribe there may read it; "" for none
	Owner       string // the user who started it
	Key         string // the server through which it was started (StreamSpec.Key)
	ContentType string // of its text
	Idle        IdlePolicy
	Completion  *CompletionMeta // nil for a stream of an external producer
	hub         *Hub
	created     time.Time
	provided    bool   // this node's provider writes it
	requestID   string // of the request that started it, for the log; "" for an external producer's, or after a restart
	job         *job   // if a worker writes it; else nil
	digest      string // of the request, to tell a repetition from another request with the same id
	aliases     []aliasKey
	slot        slotKey

	saved uint64 // the store has the log up to this offset; used by the recorder's goroutine only

	log log.Log // its lock guards everything below

	status      Status
	started     time.Time
	first       time.Time // of the first text
	ended       time.Time
	ownerAbsent bool // its owner had no session when it ended
	ending      Ending
	info        CompletionInfo
	startedC    chan struct{}           // closed when the status leaves queued
	doneC       chan struct{}           // closed at the end; replaced when a producer resumes the stream
	stop        context.CancelCauseFunc // of the provider's context; nil if no provider writes it
	watchers    int                     // on this node
	left        bool                    // a watcher has left
	cut         bool                    // a watcher's connection broke
	idleTimer   *time.Timer             // cancels the stream when nobody has watched it for Idle.CancelAfter
	account     account
	producer    producerState

	announced bool // it has an announcer
	dropped   bool // dropStream has dropped it

	confirmed      atomic.Uint64        // cluster.lapses when the store last confirmed that this node owns the stream
	remote         *remote              // nil: this node owns it
	remoteWatchers map[string]time.Time // other nodes with watchers, and when their reports expire
	assignedUsers  []string             // a mirror's cache: users to whose workers the job was assigned
}

// IdlePolicy says what happens to a stream that nobody watches. With the zero value it runs to its end. In JSON it is
// the member "keep" (schema Keep in openapi.yaml).
type IdlePolicy struct {
	CancelAfter time.Duration // cancel it after this time without watchers; 0: never
	FinishIfCut bool          // unless the connection of one of them broke (see Stream.Cut)
}

// CompletionMeta is what OpenAI's formats need of a stream beside its log.
type CompletionMeta struct {
	Kind         CompletionKind
	FIM          bool // requested at the FIM alias, whose chunks are like those of a chat
	IncludeUsage bool
	Model        string // as requested
}

// account counts a stream's tokens. A token is one piece of text or one event as the producer sent it.
type account struct {
	made      int
	unwatched int // of those made, while nobody watched
	endedBy   string
}

// Asked returns StreamSpec.Asked, or nil if there was none. It is the first entry of the log, so it is stored, and known
// on all nodes, with the text.
func (s *Stream) Asked() json.RawMessage {
	s.log.Lock()
	defer s.log.Unlock()
	if first := s.log.First(); first != nil && first.Kind == log.AskedEvent {
		return first.Data
	}
	return nil
}

// Alias returns the id that the owner gave the stream (StreamSpec.Alias), or "".
func (s *Stream) Alias() string {
	if len(s.aliases) == 0 {
		return ""
	}
	return s.aliases[0].id
}

// Watch opens a reader after p, which counts as a watcher until it is closed. The reset says why it could not start
// there, or is nil. Whether the user may read the stream is for the caller to check (AuthorizeRead).
func (s *Stream) Watch(p log.Position, wake log.Waker) (*log.Reader, *log.Reset) {
	s.log.Lock()
	defer s.log.Unlock()
	r := new(log.Reader)
	reset := s.log.Open(r, p, wake, s.watcherOptions(wake))
	s.watchLocked()
	return r, reset
}

// WatchUncounted opens a reader that counts neither as a watcher nor in the statistics of deliveries.
func (s *Stream) WatchUncounted(p log.Position, wake log.Waker) *log.Reader {
	r := new(log.Reader)
	s.log.Lock()
	defer s.log.Unlock()
	s.log.Open(r, p, wake, log.ReaderOptions{Silent: true})
	return r
}

// ResetAt returns the reset that Watch would return for p: nil if a reader can start there.
func (s *Stream) ResetAt(p log.Position) *log.Reset {
	s.log.Lock()
	defer s.log.Unlock()
	return s.log.ResetAt(p)
}

// WatchByte is Watch for a place in the text, in bytes. The reader starts at the entry with that byte; skip is how many
// bytes of the entry come before it. ok is false if the text is shorter.
func (s *Stream) WatchByte(at int, wake log.Waker) (r *log.Reader, skip int, ok bool) {
	s.log.Lock()
	defer s.log.Unlock()
	if at > s.log.TextLen() {
		return nil, 0, false
	}
	after, skip := s.log.OffsetAt(at)
	r = new(log.Reader)
	s.log.Open(r, s.log.Position(after), wake, s.watcherOptions(wake))
	s.watchLocked()
	return r, skip, true
}

// watcherOptions returns the options of a reader that counts as a watcher.
func (s *Stream) watcherOptions(wake log.Waker) log.ReaderOptions {
	return log.ReaderOptions{Observer: s.hub.counts.observer(wake), OnClose: s.unwatch}
}

// watchersLocked returns the number of watchers here, plus one for each other node that has some.
func (s *Stream) watchersLocked() int { return s.watchers + len(s.remoteWatchers) }

func (s *Stream) watchLocked() {
	s.watchers++
	s.cut = false
	if s.remote != nil && s.watchers == 1 {
		s.hub.cluster.reportWatched(s.remote.node, []string{s.ID}, true)
	}
	s.stopIdleCancel()
}

func (s *Stream) unwatch() {
	s.log.Lock()
	defer s.log.Unlock()
	s.watchers--
	s.left = true
	if s.remote != nil && s.watchers == 0 {
		s.hub.cluster.reportWatched(s.remote.node, []string{s.ID}, false)
	}
	s.armIdleCancel(s.Idle.CancelAfter)
}

// firstWatcherTimeout is the least time that a new stream waits for its first watcher.
const firstWatcherTimeout = 10 * time.Second

// armFirstIdleCancel is armIdleCancel for a new stream. s.log is locked.
func (s *Stream) armFirstIdleCancel() {
	s.armIdleCancel(max(s.Idle.CancelAfter, firstWatcherTimeout))
}

// armIdleCancel has the stream cancelled after that time, if its IdlePolicy says so, this node owns it, it runs, and
// nobody watches it. s.log is locked.
func (s *Stream) armIdleCancel(after time.Duration) {
	if s.watchersLocked() > 0 || s.Idle.CancelAfter <= 0 || s.status.Ended() || s.remote != nil {
		return
	}
	if s.cut && s.Idle.FinishIfCut {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(after, func() {
		s.log.Lock()
		due := s.idleTimer == timer
		s.log.Unlock()
		if due {
			s.cancelUnwatched()
		}
	})
	s.idleTimer = timer
}

// cancelUnwatched cancels the stream because nobody watches it. It reports false, and does nothing, if somebody does, it
// has ended, or another node owns it.
func (s *Stream) cancelUnwatched() bool {
	e := EndError{Code: codeUnwatched, Message: "nobody watched the stream"}
	return s.endLocalIf(StatusCancelled, Ending{Error: &e, by: "unwatched"}, func() bool { return s.watchersLocked() == 0 })
}

// Cut says that a watcher's connection is known to be broken, as opposed to closed by the client. Call it before the
// reader is closed. With IdlePolicy.FinishIfCut, the stream then runs to its end, unless another watcher comes and
// leaves. It has no effect on a mirror: the owner cannot tell.
func (s *Stream) Cut() {
	s.log.Lock()
	defer s.log.Unlock()
	s.cut = true
}

func (s *Stream) stopIdleCancel() {
	if s.idleTimer != nil {
		s.idleTimer.Stop()
		s.idleTimer = nil
	}
}

// Started returns a channel that is closed when the stream runs or has ended: its provider has accepted or refused.
func (s *Stream) Started() <-chan struct{} { return s.startedC }

// Done returns a channel that is closed when the stream has ended.
func (s *Stream) Done() <-chan struct{} {
	s.log.Lock()
	defer s.log.Unlock()
	return s.doneC
}

// EndsWithDrain reports whether Hub.Drain waits for the stream's end: this node's provider writes it.
func (s *Stream) EndsWithDrain() bool { return s.provided && !s.isRemote() }

// Cancel ends the stream as cancelled by a user, and stops its producer. On an ended stream it does nothing.
func (s *Stream) Cancel(by string) {
	s.end(StatusCancelled, Ending{Error: &EndError{Code: "cancelled", Message: "the stream was cancelled"}, by: by})
}

// Supersede ends the stream as superseded by a newer request, which by names. On an ended stream it does nothing.
func (s *Stream) Supersede(by string) {
	e := EndError{Code: "superseded", Message: "a newer request took its place"}
	s.end(StatusSuperseded, Ending{Error: &e, by: by})
}

// end ends the stream, whichever node owns it.
func (s *Stream) end(status Status, e Ending) {
	if s.isRemote() {
		s.endRemote(status, e)
		return
	}
	s.endLocal(status, e)
}

// start moves a queued stream to running.
func (s *Stream) start() {
	s.log.Lock()
	s.startLocked()
	s.log.UnlockAndWake()
}

func (s *Stream) startLocked() {
	if s.status == StatusQueued {
		s.status, s.started = StatusRunning, time.Now()
		close(s.startedC)
	}
}

// addText appends one piece of text. Errors: ErrClosed when the stream has ended; *LimitError at Limits.StreamBytes, or
// when all logs together exceed Limits.LogMemory by a quarter and nothing can be evicted.
func (s *Stream) addText(text string) error {
	if text == "" {
		return nil
	}
	_ = s.hub.makeRoom() // growLocked has a higher limit
	s.log.Lock()
	if err := s.growLocked(len(text)); err != nil {
		s.log.Unlock()
		return err
	}
	s.countLocked()
	s.appendTextLocked(text)
	s.log.UnlockAndWake()
	return nil
}

func (s *Stream) appendTextLocked(text string) {
	s.log.AppendText(text)
	s.hub.logBytes.Add(int64(len(text)) + log.EntryBytes)
	s.hub.recorder.markChanged(s, false)
}

// addEvent appends a structured entry. Errors: addText's.
func (s *Stream) addEvent(ev *log.Event) error {
	_ = s.hub.makeRoom()
	s.log.Lock()
	if err := s.growLocked(len(ev.Data) + len(ev.Text)); err != nil {
		s.log.Unlock()
		return err
	}
	if ev.Kind != log.OpenEvent {
		s.countLocked()
	}
	s.appendEventLocked(ev)
	s.log.UnlockAndWake()
	return nil
}

func (s *Stream) appendEventLocked(ev *log.Event) {
	before := s.log.Size()
	ev.Time = time.Now()
	s.log.Append(ev)
	s.hub.logBytes.Add(s.log.Size() - before)
	s.hub.recorder.markChanged(s, ev.Kind == log.EndEvent)
}

// growLocked starts a queued stream, and checks that it runs and may take n bytes more.
func (s *Stream) growLocked(n int) error {
	if s.status.Ended() || s.remote != nil {
		return errs.ErrClosed
	}
	if limit := s.hub.limits.StreamBytes; s.log.Size()+int64(n) > limit {
		return &errs.LimitError{Kind: errs.ErrTooLarge, Name: "bytes of one stream (stream_bytes)", Limit: limit}
	}
	if limit := s.hub.limits.maxLogMemory(); s.hub.LogBytes()+int64(n) > limit {
		return &errs.LimitError{
			Kind: errs.ErrTooLarge, Name: "memory for logs, with what running streams may take beyond log_memory",
			Limit: limit,
		}
	}
	s.startLocked()
	return nil
}

func (s *Stream) countLocked() {
	if s.account.made == 0 {
		s.first = time.Now()
		if s.Completion != nil {
			s.hub.counts.firstToken.Observe(s.first.Sub(s.created).Seconds())
		}
	}
	s.account.made++
	s.hub.counts.made.Add(1)
	if s.watchersLocked() == 0 {
		s.account.unwatched++
		s.hub.counts.unwatched.Add(1)
	}
}

// endLocal ends a stream that this node owns. It reports false, and does nothing, if the stream has ended already or
// another node owns it.
func (s *Stream) endLocal(status Status, e Ending) bool {
	return s.endLocalIf(status, e, func() bool { return true })
}

// endLocalIf is endLocal if may, which is called with s.log locked, returns true.
func (s *Stream) endLocalIf(status Status, e Ending, may func() bool) bool {
	s.log.Lock()
	if s.status.Ended() || s.remote != nil || !may() {
		s.log.Unlock()
		return false
	}
	a := s.announcerLocked(s.log.Position(s.log.Tail()))
	s.endLocked(status, e)
	stop := s.stop
	s.log.UnlockAndWake()
	a.start(func() {})
	if stop != nil {
		stop(errStreamEnded)
	}
	s.afterEnd()
	return true
}

func (s *Stream) endLocked(status Status, e Ending) {
	if s.status == StatusQueued {
		close(s.startedC)
	}
	e.Status = status
	if usage, err := compactJSON(e.Usage); err == nil && len(e.Usage) > 0 {
		e.Usage = usage
	} else {
		e.Usage = nil // it is not JSON, and would break the frames that carry it
	}
	s.status, s.ending, s.ended = status, e, time.Now()
	// Not asked later: the owner's client may disconnect as soon as it has read the end.
	s.ownerAbsent = len(s.remoteWatchers) == 0 && !s.hub.sessions.has(s.Owner)
	s.account.endedBy = e.by
	s.hub.counts.end(s, status, e.Error)
	s.appendEventLocked(&log.Event{Kind: log.EndEvent, Name: "end", Data: e.appendJSON(nil)})
	close(s.doneC)
	s.producer.stopLease()
	s.stopIdleCancel()
}

func (s *Stream) stopTimers() {
	s.log.Lock()
	defer s.log.Unlock()
	s.producer.stopLease()
	s.stopIdleCancel()
}

// isEvictable reports whether the stream has ended and nobody reads it, so that it can be dropped.
func (s *Stream) isEvictable() bool {
	s.log.Lock()
	defer s.log.Unlock()
	return s.status.Ended() && s.log.Readers() == 0 && !s.claimedLocked()
}
