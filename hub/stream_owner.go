package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// The calls to the node that owns a stream.
const (
	callEndStream    = "end stream"    // endQuestion
	callSaveStream   = "save stream"   // streamQuestion
	callWatchStreams = "watch streams" // watchQuestion
)

// streamQuestion names the stream of a call. Other questions embed it.
type streamQuestion struct {
	Stream string `json:"stream"`
}

func (q *streamQuestion) stream() string { return q.Stream }

type endQuestion struct {
	streamQuestion
	Ending remoteEnding `json:"ending"`
}

type watchQuestion struct {
	Streams []string `json:"streams"`
	Watched bool     `json:"watched"`
}

// remoteEnding is an Ending with the member that its JSON omits.
type remoteEnding struct {
	Ending
	By string
}

func remoteEndingOf(e *Ending) *remoteEnding {
	if e == nil {
		return nil
	}
	return &remoteEnding{Ending: *e, By: e.by}
}

// ending is the inverse of remoteEndingOf.
func (e *remoteEnding) ending() *Ending {
	if e == nil {
		return nil
	}
	ending := e.Ending
	ending.by = e.By
	return &ending
}

// answerStreams registers the handlers of the calls about streams that this node owns.
func (c *Cluster) answerStreams() {
	h := c.hub
	c.OnCall(callEndStream, onStream(h, func(s *Stream, q *endQuestion, _ []byte) (any, error) {
		e := q.Ending.ending()
		s.endLocal(e.Status, *e)
		return nil, nil
	}))
	c.OnCall(callSaveStream, onStream(h, func(s *Stream, _ *streamQuestion, _ []byte) (any, error) {
		return nil, h.recorder.flush(s)
	}))
	c.calls.on(callWatchStreams, func(from string, body []byte) ([]byte, error) {
		return answering(func(q *watchQuestion) (any, error) {
			for _, id := range q.Streams {
				if s := h.streams.find("", id); s != nil {
					s.setRemoteWatchers(from, q.Watched)
				}
			}
			return nil, nil
		})(body)
	})
}

// onStream returns the handler of a call about a stream that this node owns. The body is made by withBytes.
func onStream[T any, Q interface {
	*T
	stream() string
}](h *Hub, f func(s *Stream, q Q, bytes []byte) (any, error)) func([]byte) ([]byte, error) {
	return func(body []byte) ([]byte, error) {
		q := Q(new(T))
		bytes, err := cutBytes(body, q)
		if err != nil {
			return nil, err
		}
		s := h.streams.find("", q.stream())
		if s == nil || s.isRemote() {
			return nil, errNotOwner
		}
		answer, err := f(s, q, bytes)
		if err != nil {
			return nil, err
		}
		return json.Marshal(answer)
	}
}

// errOwnerUnreachable: the owner of a stream does not answer. It matches ErrUnavailable.
var errOwnerUnreachable = fmt.Errorf("the node that writes the stream cannot be reached: %w", errs.ErrUnavailable)

// askOwnerPause is the pause before a stream's new owner is asked, or the stream of a dead node is claimed again.
const askOwnerPause = 50 * time.Millisecond

// askOwner calls the node that owns the stream. body is made by withBytes, or JSON. If the owner has died, this node
// takes the stream over, and taken is true. It tries three times, so that one failed command, or a stream that moves to
// another node, is no error.
func (s *Stream) askOwner(patience time.Duration, name string, body []byte) (answer []byte, taken bool, err error) {
	for try := range 3 {
		if try > 0 {
			s.hub.background.Pause(askOwnerPause)
		}
		node, err := s.ownerNode()
		if err != nil || node == "" {
			return nil, err == nil, err
		}
		if s.hub.cluster.orphaned(node) {
			taken, err := s.takeOver(node)
			switch {
			case taken:
				return nil, true, nil
			case errors.Is(err, errs.ErrNotFound):
				return nil, false, err
			case err != nil:
				s.hub.logger.Warn("a dead node's stream is not taken over yet", "stream", s.ID, "node", node, "error", err)
			}
			continue // or another node has taken it over
		}
		if answer, err = s.hub.cluster.callWithin(patience, node, name, body); !errors.Is(err, errNotOwner) {
			return answer, false, err
		}
		s.reloadMirror()
	}
	return nil, false, errOwnerUnreachable
}

// endWait is how long endRemote waits for the end to arrive at this node's mirror.
const endWait = 5 * time.Second

// endRemote asks the owner to end the stream, and waits until the mirror has the end.
func (s *Stream) endRemote(status Status, e Ending) {
	if now := s.Status(); now.Ended() && now != StatusInterrupted {
		return
	}
	e.Status = status
	question := endQuestion{streamQuestion{s.ID}, remoteEnding{Ending: e, By: e.by}}
	_, taken, err := s.askOwner(callTimeout, callEndStream, withBytes(question, nil))
	switch {
	case err != nil:
		s.hub.logger.Warn("a stream of another node cannot be ended", "stream", s.ID, "error", err)
	case taken:
		s.endLocal(status, e)
	default:
		late := time.NewTimer(endWait)
		defer late.Stop()
		select {
		case <-s.Done():
		case <-late.C:
		}
	}
}
