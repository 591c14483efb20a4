package hub

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// Status is where a stream stands.
type Status string

// The statuses. All but the first two are ends; an interrupted stream may be taken on by another producer.
const (
	StatusQueued      Status = "queued"
	StatusRunning     Status = "running"
	StatusDone        Status = "done"
	StatusFailed      Status = "failed"
	StatusCancelled   Status = "cancelled"
	StatusSuperseded  Status = "superseded"
	StatusInterrupted Status = "interrupted"
)

// Ended reports whether nothing more is being written.
func (s Status) Ended() bool { return s != StatusQueued && s != StatusRunning }

// Stream is one completion, analysis or other text in the making: a log, its status and its account. It outlives
// whoever asked for it. Safe for concurrent use.
type Stream struct {
	// Fixed at creation.
	ID          string
	Kind        string // "completion", "analysis", or the producer's word
	Topic       string // where it is announced, and by whose readers it may be read; "" for none
	Owner       string // the user who started it
	ContentType string // of its text
	Keep        Keep
	Completion  *CompletionMeta // nil for a stream of an external producer
	hub         *Hub
	created     time.Time
	provided    bool   // a provider of ours writes it
	requestID   string // that it began with, for the log; "" for one of an external producer, or from before a restart
	job         *job   // a worker writes it, who takes it as a job; nil otherwise
	digest      string // of the request, to tell a repetition from another request under the same id
	aliases     []aliasKey
	slot        slotKey

	saved uint64 // the offset up to which the store has it; the recorder's goroutine alone uses it

	log log.Log // its mu guards everything below

	status   Status
	started  time.Time
	first    time.Time // of the first text
	ended    time.Time
	missed   bool // at its end its owner was not there; who was there may go as soon as the end can be read
	ending   Ending
	info     CompletionInfo
	startedC chan struct{} // closed when the status leaves queued
	doneC    chan struct{} // closed at the end; made anew when another producer takes the stream on
	stop     context.CancelCauseFunc
	watchers int
	idleStop *time.Timer // cancels the stream when nobody has watched it for Keep.CancelAfter
	account  account
	producer producerState

	announced bool // an announcer reads it

	confirmed atomic.Uint64        // cluster.lapses when the store was last asked whose the stream is
	remote    *remote              // nil: this node writes it
	elsewhere map[string]time.Time // other nodes with watchers, and until when they count
	heldBy    []string             // of a mirror: users whose workers have its job, as far as it is known here
}

// Keep is what becomes of a stream that nobody watches. The zero value lets it finish.
type Keep struct {
	CancelAfter time.Duration // cancel after so long without watchers; 0: never
}

// CompletionMeta is what the OpenAI shapes of a stream need beside its log.
type CompletionMeta struct {
	Kind         CompletionKind
	FIM          bool // asked for at the FIM alias: chat-like chunks
	IncludeUsage bool
	Model        string // as asked for
}

// Ending is how a stream ended.
type Ending struct {
	Status       Status
	FinishReason string          // "" is null
	Usage        json.RawMessage // OpenAI's usage object, or nil
	Error        *EndError
	FinishSent   bool // the finish reason stands in a ChunkEvent already

	by string // who or what ended it, for the account
}

// EndError says why a stream did not end well.
type EndError struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Type    string          `json:"-"` // OpenAI's error type
	Status  int             `json:"-"` // the HTTP status that a provider refused with
	Retry   time.Duration   `json:"-"`
	Body    json.RawMessage `json:"-"` // the upstream's own error object
}

// account counts a stream's tokens: pieces as the producer made them.
type account struct {
	made      int
	unwatched int // made while nobody watched
	endedBy   string
}

// Watch opens a reader of the stream after p, which counts as a watcher until it is closed. Whether the caller may read
// is checked before.
func (s *Stream) Watch(p log.Position, wake log.Waker) (*log.Reader, *log.Reset) {
	s.log.Lock()
	defer s.log.Unlock()
	r := new(log.Reader)
	reset := s.log.Open(r, p, wake, s.watcher(wake))
	s.watchLocked()
	return r, reset
}

// WatchUncounted is Watch for a reader that is no watcher, and what it reads was not delivered.
func (s *Stream) WatchUncounted(p log.Position, wake log.Waker) *log.Reader {
	r := new(log.Reader)
	s.log.Lock()
	defer s.log.Unlock()
	s.log.Open(r, p, wake, log.ReaderOptions{Silent: true})
	return r
}

// ResetAt returns what Watch would say of p: nil where the stream goes on exactly behind it.
func (s *Stream) ResetAt(p log.Position) *log.Reset {
	s.log.Lock()
	defer s.log.Unlock()
	return s.log.ResetAt(p)
}

// WatchByte opens a reader at the entry that holds the byte at of the text, and says how many bytes of its text come
// before it. ok is false where the stream has no such place: at is beyond what was made.
func (s *Stream) WatchByte(at int, wake log.Waker) (r *log.Reader, skip int, ok bool) {
	s.log.Lock()
	defer s.log.Unlock()
	if at > s.log.TextLen() {
		return nil, 0, false
	}
	after, skip := s.log.OffsetAt(at)
	r = new(log.Reader)
	s.log.Open(r, s.log.Position(after), wake, s.watcher(wake))
	s.watchLocked()
	return r, skip, true
}

// watcher is what a reader counts for that is a watcher.
func (s *Stream) watcher(wake log.Waker) log.ReaderOptions {
	return log.ReaderOptions{Observer: s.hub.counts.observer(wake), OnClose: s.unwatch}
}

// watchersLocked counts a node with watchers as one.
func (s *Stream) watchersLocked() int { return s.watchers + len(s.elsewhere) }

func (s *Stream) watchLocked() {
	s.watchers++
	if s.remote != nil && s.watchers == 1 {
		s.hub.tellWatched(s.remote.node, []string{s.ID}, true)
	}
	if s.idleStop != nil {
		s.idleStop.Stop()
		s.idleStop = nil
	}
}

func (s *Stream) unwatch() {
	s.log.Lock()
	defer s.log.Unlock()
	s.watchers--
	if s.remote != nil && s.watchers == 0 {
		s.hub.tellWatched(s.remote.node, []string{s.ID}, false)
	}
	s.armKeep(s.Keep.CancelAfter)
}

// firstWatcher is how long a new stream waits at least for its first watcher, who must be given the time to come.
const firstWatcher = time.Second

// armKeep starts the clock of Keep.CancelAfter where nobody watches a stream that runs. s.log is locked.
func (s *Stream) armKeep(after time.Duration) {
	if s.watchersLocked() > 0 || s.Keep.CancelAfter <= 0 || s.status.Ended() || s.remote != nil {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(after, func() {
		s.log.Lock()
		due := s.idleStop == timer && s.watchersLocked() == 0
		s.log.Unlock()
		if due {
			s.finish(StatusCancelled, Ending{Error: &EndError{Code: codeUnwatched, Message: "nobody watched the stream"}, by: "unwatched"})
		}
	})
	s.idleStop = timer
}

// Started returns a channel that is closed when the stream runs or has ended: its provider has said yes or no.
func (s *Stream) Started() <-chan struct{} { return s.startedC }

// Done returns a channel that is closed when the stream has ended.
func (s *Stream) Done() <-chan struct{} {
	s.log.Lock()
	defer s.log.Unlock()
	return s.doneC
}

// EndsWithDrain reports whether Hub.Drain waits for the stream's end: it is a completion or analysis that this node
// makes.
func (s *Stream) EndsWithDrain() bool { return s.provided && !s.isRemote() }

// Cancel ends the stream as cancelled by the user, and stops its producer. On an ended stream it changes nothing.
func (s *Stream) Cancel(by string) {
	s.end(StatusCancelled, Ending{Error: &EndError{Code: "cancelled", Message: "the stream was cancelled"}, by: by})
}

// Supersede ends the stream as superseded by something newer, which by names. On an ended stream it changes nothing.
func (s *Stream) Supersede(by string) {
	s.end(StatusSuperseded, Ending{Error: &EndError{Code: "superseded", Message: "a newer request took its place"}, by: by})
}

// end ends the stream, wherever it is written.
func (s *Stream) end(status Status, e Ending) {
	if s.isRemote() {
		s.endRemote(status, e)
		return
	}
	s.finish(status, e)
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

// addText appends one piece of text. Errors: ErrClosed when the stream has ended, a *LimitError at Limits.StreamBytes,
// or where all logs together take a quarter more than Limits.LogMemory, and nothing can be evicted.
func (s *Stream) addText(text string) error {
	if text == "" {
		return nil
	}
	_ = s.hub.makeRoom() // what there is of it
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
	s.hub.changedStream(s, false)
}

// addEvent appends an entry that is more than text.
func (s *Stream) addEvent(ev *log.Event) error {
	_ = s.hub.makeRoom()
	s.log.Lock()
	if err := s.growLocked(len(ev.Data)); err != nil {
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
	s.hub.changedStream(s, ev.Kind == log.EndEvent)
}

// growLocked checks that the stream can take n bytes more, and that it runs.
func (s *Stream) growLocked(n int) error {
	if s.status.Ended() || s.remote != nil {
		return errs.ErrClosed
	}
	if limit := s.hub.limits.StreamBytes; s.log.Size()+int64(n) > limit {
		return &errs.LimitError{Kind: errs.ErrTooLarge, Name: "bytes of one stream (stream_bytes)", Limit: limit}
	}
	if limit := s.hub.limits.maxLogMemory(); s.hub.LogBytes()+int64(n) > limit {
		return &errs.LimitError{Kind: errs.ErrTooLarge, Name: "memory for logs, with what running streams may take beyond log_memory", Limit: limit}
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

// finish ends a stream of this node's: the first ending counts. It reports whether this one did.
func (s *Stream) finish(status Status, e Ending) bool {
	s.log.Lock()
	if s.status.Ended() || s.remote != nil {
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
	s.hub.streamEnded(s)
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
		e.Usage = nil // what is no JSON on one line would break every reader's frame
	}
	s.status, s.ending, s.ended, s.missed = status, e, time.Now(), len(s.elsewhere) == 0 && !s.hub.IsThere(s.Owner)
	s.account.endedBy = e.by
	s.hub.counts.end(s, status, e.Error)
	s.appendEventLocked(&log.Event{Kind: log.EndEvent, Name: "end", Data: e.appendJSON(nil)})
	close(s.doneC)
	s.producer.stopLease()
	if s.idleStop != nil {
		s.idleStop.Stop()
		s.idleStop = nil
	}
}

func (s *Stream) stopTimers() {
	s.log.Lock()
	defer s.log.Unlock()
	s.producer.stopLease()
	if s.idleStop != nil {
		s.idleStop.Stop()
		s.idleStop = nil
	}
}

// idle reports whether the stream has ended and nobody reads it, so that it can be dropped.
func (s *Stream) idle() bool {
	s.log.Lock()
	defer s.log.Unlock()
	return s.status.Ended() && s.log.Readers() == 0 && !s.claimedLocked()
}
