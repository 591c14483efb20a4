package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

// What the node that writes a stream is asked about it.
const (
	callEndStream    = "end stream"    // endQuestion
	callSaveStream   = "save stream"   // streamQuestion
	callWatchStreams = "watch streams" // watchQuestion
)

// streamQuestion is about one stream. Others embed it.
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

// remoteEnding is an Ending with what its JSON leaves out.
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

// ending returns what remoteEndingOf was given.
func (e *remoteEnding) ending() *Ending {
	if e == nil {
		return nil
	}
	ending := e.Ending
	ending.by = e.By
	return &ending
}

// answerStreams has this node answer what others ask about its streams.
func (h *Hub) answerStreams() {
	h.cluster.OnCall(callEndStream, onStream(h, func(s *Stream, q *endQuestion, _ []byte) (any, error) {
		e := q.Ending.ending()
		s.endLocal(e.Status, *e)
		return nil, nil
	}))
	h.cluster.OnCall(callSaveStream, onStream(h, func(s *Stream, _ *streamQuestion, _ []byte) (any, error) { return nil, h.recorder.flush(s) }))
	h.cluster.calls.on(callWatchStreams, func(from string, body []byte) ([]byte, error) {
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

// onStream has f answer a call about a stream that this node writes. The question came by withBytes.
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

// errOwnerUnreachable means that a stream's node cannot be asked. It matches ErrUnavailable.
var errOwnerUnreachable = fmt.Errorf("the node that writes the stream cannot be reached: %w", errs.ErrUnavailable)

// askOwnerPause is how long to wait before the node is asked again that a stream has moved to, or a dead node's stream
// is claimed again.
const askOwnerPause = 50 * time.Millisecond

// askOwner asks the node that writes the stream, with a body made by withBytes or in JSON. A node that has died is
// found so: then the stream is this node's, and taken is true. It tries three times, so that neither one failed command
// nor a stream that moves is an error.
func (s *Stream) askOwner(patience time.Duration, name string, body []byte) (answer []byte, taken bool, err error) {
	for try := range 3 {
		if try > 0 {
			s.hub.background.Pause(askOwnerPause)
		}
		node, err := s.ownerNode()
		if err != nil || node == "" {
			return nil, err == nil, err
		}
		if s.hub.orphaned(node) {
			taken, err := s.hub.takeOver(s, node)
			switch {
			case taken:
				return nil, true, nil
			case errors.Is(err, errs.ErrNotFound):
				return nil, false, err
			case err != nil:
				s.hub.logger.Warn("a dead node's stream is not taken over yet", "stream", s.ID, "node", node, "error", err)
			}
			continue // or somebody else has taken it
		}
		if answer, err = s.hub.cluster.callWithin(patience, node, name, body); !errors.Is(err, errNotOwner) {
			return answer, false, err
		}
		s.reloadMirror()
	}
	return nil, false, errOwnerUnreachable
}

// endWait is for how long whoever ends another node's stream waits to see it ended.
const endWait = 5 * time.Second

// endRemote has the stream's node end it, and waits until its end is seen here.
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

// Watchers on other nodes: each node with some says so again and again.
const (
	reportWatchedEvery = 3 * time.Second
	remoteWatchTTL     = 10 * time.Second
)

// reportWatched tells a node that streams of its have watchers here, or have none any more. s.log may be locked.
func (h *Hub) reportWatched(node string, streams []string, watched bool) {
	if node == "" {
		return // it is not known, and will be told
	}
	body := mustJSON(watchQuestion{streams, watched})
	h.background.TryGo(func() {
		_, _ = h.cluster.callWithin(callTimeout, node, callWatchStreams, body) // it is said again
	})
}

// reportAllWatched tells the other nodes which of their streams are watched here, until the hub closes.
func (h *Hub) reportAllWatched() {
	for h.background.Pause(reportWatchedEvery) {
		watched := make(map[string][]string)
		for _, s := range h.streams.all() {
			s.log.Lock()
			if s.remote != nil && s.remote.node != "" && s.watchers > 0 && !s.status.Ended() {
				watched[s.remote.node] = append(watched[s.remote.node], s.ID)
			}
			s.expireRemoteWatchers()
			s.log.Unlock()
		}
		for node, streams := range watched {
			h.reportWatched(node, streams, true)
			if !h.orphaned(node) {
				continue
			}
			for _, id := range streams {
				if s := h.streams.find("", id); s != nil {
					h.takeOverIfOrphaned(s)
				}
			}
		}
	}
}

// setRemoteWatchers notes that the stream is watched on another node, or is not any more.
func (s *Stream) setRemoteWatchers(node string, watched bool) {
	s.log.Lock()
	defer s.log.Unlock()
	if !watched {
		delete(s.remoteWatchers, node)
		s.armIdleCancel(s.Idle.CancelAfter)
		return
	}
	if s.remoteWatchers == nil {
		s.remoteWatchers = make(map[string]time.Time)
	}
	s.remoteWatchers[node] = time.Now().Add(remoteWatchTTL)
	if s.idleTimer != nil {
		s.idleTimer.Stop()
		s.idleTimer = nil
	}
}

// expireRemoteWatchers forgets nodes that have not spoken of their watchers for too long. s.log is locked.
func (s *Stream) expireRemoteWatchers() {
	now, had := time.Now(), len(s.remoteWatchers)
	for node, until := range s.remoteWatchers {
		if now.After(until) {
			delete(s.remoteWatchers, node)
		}
	}
	if had > 0 && len(s.remoteWatchers) == 0 {
		s.armIdleCancel(s.Idle.CancelAfter)
	}
}
