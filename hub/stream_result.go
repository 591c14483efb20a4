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

// ResultEvent is the name of the message that a stream leaves for its requester.
const ResultEvent = "stream_result"

// maxResults is how many results may wait for a store that does not take them at the moment.
const maxResults = 1000

// results leaves what streams have come to in the queues of those who asked for them and have no session. The goroutine
// is its own: whoever ends a stream must not wait for the disk.
type results struct {
	work    sync.WaitGroup
	wake    *log.Wake
	stop    chan struct{}
	closing sync.Once

	mu      lock.Mutex
	streams []*Stream // oldest first
}

func (r *results) init() { r.wake, r.stop = log.NewWake(), make(chan struct{}) }

// leaveResult is called at a stream's end. Who cancelled it, or asked for something newer, does not want it; an
// external producer knows it.
func (h *Hub) leaveResult(s *Stream, status Status) {
	wanted := status == StatusDone || status == StatusFailed || status == StatusInterrupted
	if h.queues.store == nil || !wanted || !s.provided && s.job == nil || !s.wasMissed() {
		return
	}
	r := &h.results
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.streams) >= maxResults {
		h.logger.Error("a stream's result cannot be left for its user: too many wait", "stream", r.streams[0].ID, "user", r.streams[0].Owner)
		r.streams = r.streams[1:]
	}
	r.streams = append(r.streams, s)
	r.wake.Signal()
}

// wasMissed reports whether the stream's owner was not there at its end.
func (s *Stream) wasMissed() bool {
	s.log.Lock()
	defer s.log.Unlock()
	return s.missed
}

// retryResults is the pause before results that the store did not take are tried again.
const retryResults = time.Second

// leaveResults works until stop is closed, and once more then.
func (h *Hub) leaveResults() {
	retry := time.NewTimer(retryResults)
	defer retry.Stop()
	for {
		select {
		case <-h.results.stop:
			h.keepResults()
			return
		case <-h.results.wake.C:
		case <-retry.C:
		}
		if !h.keepResults() {
			retry.Reset(retryResults)
		}
	}
}

// keepResults reports whether none is left.
func (h *Hub) keepResults() bool {
	r := &h.results
	for {
		r.mu.Lock()
		if len(r.streams) == 0 {
			r.mu.Unlock()
			return true
		}
		s := r.streams[0]
		r.mu.Unlock()
		err := h.keepResult(s)
		if errors.Is(err, errs.ErrUnavailable) {
			return false
		}
		if err != nil {
			h.logger.Warn("a stream's result is not left for its user", "stream", s.ID, "user", s.Owner, "error", err)
		}
		r.mu.Lock()
		if len(r.streams) > 0 && r.streams[0] == s {
			r.streams = r.streams[1:]
		}
		r.mu.Unlock()
	}
}

// keepResult leaves one result. Results may take a quarter of a queue, so that they do not keep out what people send.
func (h *Hub) keepResult(s *Stream) error {
	if h.isElsewhere(s.Owner) {
		return nil
	}
	st := s.State()
	if !st.Status.Ended() {
		return nil // another producer has taken the stream on: its end leaves another result
	}
	topic := s.Topic
	if topic == "" {
		topic = UserTopic(s.Owner)
	}
	in := MessageInput{
		User: s.Owner, ID: s.ID + "." + strconv.FormatUint(st.Position.Offset, 10), Topic: topic, Event: ResultEvent,
		Payload: s.appendResult(nil, &st, h.limits.MessageBytes),
	}
	m, err := in.toStored("", "", &h.limits, time.Now())
	if err != nil {
		return err
	}
	room := QueueLimits{Messages: max(1, h.limits.QueueMax/4), Bytes: h.limits.QueueBytes / 4}
	_, err = h.queues.storeMessages([]StoredMessage{m}, room)
	return err
}

// callSession asks another node whether a user has a session there: the answer is empty where not.
const callSession = "session"

// isElsewhere reports whether a user has a session on another node. One that cannot be asked has none.
func (h *Hub) isElsewhere(user string) bool {
	return slices.ContainsFunc(h.cluster.CallAll(callSession, []byte(user)), func(answer []byte) bool { return len(answer) > 0 })
}

func (h *Hub) answerSession(user []byte) ([]byte, error) {
	if h.IsThere(string(user)) {
		return []byte("here"), nil
	}
	return nil, nil
}

// appendResult appends the stream in the shape of its JSON (design.md 2.5), with its text where it is not too long for
// a message: then "truncated" says that the stream has it.
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
