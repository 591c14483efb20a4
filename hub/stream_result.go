package hub

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/lock"
	"github.com/duckwire/duckwire/hub/log"
)

// ResultEvent is the name of the message with a stream's result.
const ResultEvent = "stream_result"

// maxResults bounds how many results wait for a store that does not answer.
const maxResults = 1000

// results puts the results of streams into the queues of their owners who had no session at the end. It has a goroutine
// of its own, because whoever ends a stream must not wait for the disk.
type results struct {
	hub     *Hub
	work    sync.WaitGroup
	wake    *log.Wake
	stop    chan struct{} // closed by Hub.Close
	closing sync.Once

	mu      lock.Mutex
	streams []*Stream // whose results are not stored yet, oldest first
}

func (r *results) init(h *Hub) { r.hub, r.wake, r.stop = h, log.NewWake(), make(chan struct{}) }

// add queues the result of a stream that has ended with that status. It does nothing if nobody needs the result:
// whoever cancelled or superseded a stream does not want it, and an external producer has it.
func (r *results) add(s *Stream, status Status) {
	wanted := status == StatusDone || status == StatusFailed || status == StatusInterrupted
	if r.hub.queues.store == nil || !wanted || !s.provided && s.job == nil || !s.endedUnseen() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.streams) >= maxResults {
		oldest := r.streams[0]
		r.hub.logger.Error("a stream's result cannot be left for its user: too many wait",
			"stream", oldest.ID, "user", oldest.Owner)
		r.streams = r.streams[1:]
	}
	r.streams = append(r.streams, s)
	r.wake.Signal()
}

// endedUnseen reports whether the stream's owner had no session at its end.
func (s *Stream) endedUnseen() bool {
	s.log.Lock()
	defer s.log.Unlock()
	return s.ownerAbsent
}

// retryResults is the pause before results that the store did not take are stored again.
const retryResults = time.Second

// run stores results until stop is closed, and once more then.
func (r *results) run() {
	retry := time.NewTimer(retryResults)
	defer retry.Stop()
	for {
		select {
		case <-r.stop:
			r.storeAll()
			return
		case <-r.wake.C:
		case <-retry.C:
		}
		if !r.storeAll() {
			retry.Reset(retryResults)
		}
	}
}

// storeAll stores the results, and reports whether none is left.
func (r *results) storeAll() bool {
	for {
		r.mu.Lock()
		if len(r.streams) == 0 {
			r.mu.Unlock()
			return true
		}
		s := r.streams[0]
		r.mu.Unlock()
		err := r.store(s)
		if errors.Is(err, errs.ErrUnavailable) {
			return false
		}
		if err != nil {
			r.hub.logger.Warn("a stream's result is not left for its user",
				"stream", s.ID, "user", s.Owner, "error", err)
		}
		r.mu.Lock()
		if len(r.streams) > 0 && r.streams[0] == s { // add may have dropped it
			r.streams = r.streams[1:]
		}
		r.mu.Unlock()
	}
}

// store stores one result. Results take at most a quarter of a queue, so that there is room for other messages.
func (r *results) store(s *Stream) error {
	if r.hasSessionElsewhere(s.Owner) {
		return nil
	}
	st := s.State()
	if !st.Status.Ended() {
		return nil // a producer has resumed the stream: its next end has another result
	}
	topic := s.Topic
	if topic == "" {
		topic = UserTopic(s.Owner)
	}
	limits := &r.hub.limits
	in := MessageInput{
		User: s.Owner, ID: s.ID + "." + strconv.FormatUint(st.Position.Offset, 10), Topic: topic, Event: ResultEvent,
		Payload: s.appendResult(nil, &st, limits.MessageBytes),
	}
	m, err := in.toStored("", "", limits, time.Now())
	if err != nil {
		return err
	}
	queueLimits := QueueLimits{Messages: max(1, limits.QueueMax/4), Bytes: limits.QueueBytes / 4}
	_, err = r.hub.queues.storeMessages([]StoredMessage{m}, queueLimits)
	return err
}

// callSession asks another node whether a user has a session there. The answer is empty if not.
const callSession = "session"

// hasSessionElsewhere reports whether a user has a session on another node, of those that answer.
func (r *results) hasSessionElsewhere(user string) bool {
	answers := r.hub.cluster.CallAll(callSession, []byte(user))
	return slices.ContainsFunc(answers, func(answer []byte) bool { return len(answer) > 0 })
}

// appendResult appends the stream's JSON as GET /v1/streams/ID shows it, as far as a result has it, with the text if
// that fits into limit bytes. If not, "truncated" says that the stream itself has the text.
func (s *Stream) appendResult(b []byte, st *StreamState, limit int) []byte {
	b = jsonw.AppendString(append(b, `{"id":`...), s.ID)
	b = jsonw.AppendString(append(b, `,"kind":`...), s.Kind)
	b = appendStringOrNull(append(b, `,"topic":`...), s.Topic)
	b = jsonw.AppendString(append(b, `,"status":`...), string(st.Status))
	b = jsonw.AppendString(append(b, `,"position":`...), st.Position.String())
	b = appendStringOrNull(append(b, `,"finish_reason":`...), st.Ending.FinishReason)
	b = appendRawOrNull(append(b, `,"usage":`...), st.Ending.Usage)
	b = append(b, `,"error":`...)
	if st.Ending.Error == nil {
		b = append(b, `null`...)
	} else {
		b = st.Ending.Error.AppendJSON(b)
	}
	text := jsonw.AppendString(nil, string(st.Text))
	if len(b)+len(text)+32 > limit {
		return append(b, `,"truncated":true}`...)
	}
	return append(append(append(b, `,"text":`...), text...), '}')
}
