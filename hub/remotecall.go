package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// nodeRequest is what one hub asks of another, which writes the stream.
type nodeRequest struct {
	Do     nodeVerb      `json:"do"`
	Stream string        `json:"stream,omitempty"`
	Ending *remoteEnding `json:"ending,omitempty"` // of endStream, and of endAppend and wholeAppend where the request closes the stream
	Watch  []string      `json:"watch,omitempty"`  // streams
	Ref    *ProducerRef  `json:"ref,omitempty"`
	Append string        `json:"append,omitempty"` // an upload under way
	Parts  []Part        `json:"parts,omitempty"`
	Text   []byte        `json:"-"`              // behind the JSON; see nodewire.go
	Call   string        `json:"call,omitempty"` // of callNode: what is asked; Text is the request
}

type nodeVerb string

const (
	endStream   nodeVerb = "end"
	saveStream  nodeVerb = "save"
	watchStream nodeVerb = "watch"
	leaveStream nodeVerb = "leave"
	beginAppend nodeVerb = "begin append"
	addParts    nodeVerb = "add parts"
	addText     nodeVerb = "add text"
	endAppend   nodeVerb = "end append"
	wholeAppend nodeVerb = "append"
	abortAppend nodeVerb = "abort append"
	callNode    nodeVerb = "call"
)

// nodeAnswer is the answer.
type nodeAnswer struct {
	Fault     *nodeFault `json:"fault,omitempty"`
	Append    string     `json:"append,omitempty"`
	Duplicate bool       `json:"duplicate,omitempty"`
	Receipt   *Receipt   `json:"receipt,omitempty"`
	Body      []byte     `json:"-"` // of callNode, behind the JSON
}

// remoteEnding is an Ending with what its JSON leaves out.
type remoteEnding struct {
	Ending
	By string
}

// errAway means that a stream's node cannot be asked. It matches ErrUnavailable.
var errAway = fmt.Errorf("the node that writes the stream cannot be reached: %w", ErrUnavailable)

// askOwner asks the node that writes the stream. A node that has died is found so: then the stream is this node's, and taken is true.
func (s *Stream) askOwner(req *nodeRequest) (answer nodeAnswer, taken bool, err error) {
	return s.askOwnerWithin(askTimeout, req)
}

func (s *Stream) askOwnerWithin(timeout time.Duration, req *nodeRequest) (answer nodeAnswer, taken bool, err error) {
	req.Stream = s.ID
	var last error
	for range 3 {
		node, err := s.writer()
		if err != nil || node == "" {
			return answer, err == nil, err
		}
		if s.hub.orphaned(node) {
			var taken bool
			if taken, err = s.hub.takeOver(s); taken {
				return answer, true, nil
			}
			last = err
			s.hub.Pause(50 * time.Millisecond)
			continue // somebody else has taken it, or one command has failed
		}
		if answer, err = s.hub.askWithin(timeout, node, req); errors.Is(err, errNotMine) {
			s.refresh()
			s.hub.Pause(50 * time.Millisecond)
			continue
		}
		return answer, false, err
	}
	return answer, false, cmp.Or(last, errAway)
}

// askTimeout is how long a node may take to answer.
const askTimeout = 5 * time.Second

func (h *Hub) ask(node string, req *nodeRequest) (answer nodeAnswer, err error) {
	return h.askWithin(askTimeout, node, req)
}

func (h *Hub) askWithin(timeout time.Duration, node string, req *nodeRequest) (answer nodeAnswer, err error) {
	ctx, cancel := context.WithTimeout(h.ctx, timeout)
	defer cancel()
	return h.askFor(ctx, node, req)
}

func (h *Hub) askFor(ctx context.Context, node string, req *nodeRequest) (answer nodeAnswer, err error) {
	raw, err := req.encode()
	if err != nil {
		return answer, err
	}
	got, err := h.shared.Ask(ctx, node, raw)
	if err != nil {
		return answer, err
	}
	if err := answer.decode(got); err != nil {
		return answer, fmt.Errorf("node %s answered what is not understood; nodes of different versions? %w", node, ErrUnavailable)
	}
	if answer.Fault != nil {
		return answer, answer.Fault.error()
	}
	return answer, nil
}

// endWait is for how long whoever ends another node's stream waits to see it ended.
const endWait = 5 * time.Second

// endRemote has the stream's node end it, and waits until its end is seen here.
func (s *Stream) endRemote(status Status, e Ending) {
	e.Status = status
	_, taken, err := s.askOwner(&nodeRequest{Do: endStream, Ending: &remoteEnding{Ending: e, By: e.by}})
	switch {
	case err != nil:
		s.hub.logger.Warn("a stream of another node cannot be ended", "stream", s.ID, "error", err)
	case taken:
		s.finish(status, e)
	default:
		late := time.NewTimer(endWait)
		defer late.Stop()
		select {
		case <-s.Done():
		case <-late.C:
		}
	}
}

// answer does what another node asks.
func (h *Hub) answer(from string, request []byte) []byte {
	var req nodeRequest
	var a nodeAnswer
	err := req.decode(request)
	if err == nil {
		err = h.answerTo(from, &req, &a)
	}
	if err != nil {
		a.Fault = faultOf(err)
	}
	raw, err := a.encode()
	if err != nil {
		h.logger.Error("an answer to another node cannot be written", "error", err)
	}
	return raw
}

func (h *Hub) answerTo(from string, req *nodeRequest, a *nodeAnswer) error {
	switch req.Do {
	case watchStream, leaveStream:
		for _, id := range req.Watch {
			if s := h.streams.find("", id); s != nil {
				s.watchedBy(from, req.Do == watchStream)
			}
		}
		return nil
	case callNode:
		return h.calls.answer(req, a)
	case addParts, addText, endAppend, abortAppend:
		return h.appends.work(req, a)
	}
	s := h.streams.find("", req.Stream)
	if s == nil || s.isRemote() {
		return errNotMine
	}
	switch req.Do {
	case endStream:
		e := req.Ending.ending()
		s.finish(e.Status, *e)
		return nil
	case saveStream:
		return h.recorder.flush(s)
	case beginAppend:
		return h.appends.begin(s, req, a)
	case wholeAppend:
		body := wholeBody{req.Parts, req.Text}
		receipt, err := body.append(s, *req.Ref, req.Ending.ending())
		a.Receipt = &receipt
		return err
	}
	return Invalid("do", "nodes of different versions? %q", req.Do)
}

// Watchers on other nodes: each node with some says so again and again.
const (
	watchEvery = 3 * time.Second
	watchLasts = 10 * time.Second
)

// tellWatched tells a node that streams of its have watchers here, or have none any more. s.log.mu may be held.
func (h *Hub) tellWatched(node string, streams []string, watched bool) {
	if node == "" {
		return // it is not known, and will be told
	}
	verb := leaveStream
	if watched {
		verb = watchStream
	}
	h.goes(func() {
		_, _ = h.ask(node, &nodeRequest{Do: verb, Watch: streams}) // it is said again
	})
}

// tellAllWatched tells the other nodes which of their streams are watched here, until the hub closes.
func (h *Hub) tellAllWatched() {
	for h.Pause(watchEvery) {
		watched := make(map[string][]string)
		for _, s := range h.streams.all() {
			s.log.mu.Lock()
			if s.remote != nil && s.remote.node != "" && s.watchers > 0 && !s.status.Ended() {
				watched[s.remote.node] = append(watched[s.remote.node], s.ID)
			}
			s.forgetElsewhere()
			s.log.mu.Unlock()
		}
		for node, streams := range watched {
			h.tellWatched(node, streams, true)
			if !h.orphaned(node) {
				continue
			}
			for _, id := range streams {
				if s := h.streams.find("", id); s != nil {
					h.settleRemote(s)
				}
			}
		}
	}
}

// watchedBy notes that the stream is watched on another node, or is not any more.
func (s *Stream) watchedBy(node string, watched bool) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if !watched {
		delete(s.elsewhere, node)
		s.armKeep(s.Keep.CancelAfter)
		return
	}
	if s.elsewhere == nil {
		s.elsewhere = make(map[string]time.Time)
	}
	s.elsewhere[node] = time.Now().Add(watchLasts)
	if s.idleStop != nil {
		s.idleStop.Stop()
		s.idleStop = nil
	}
}

// forgetElsewhere forgets nodes that have not spoken of their watchers for too long. s.log.mu is held.
func (s *Stream) forgetElsewhere() {
	now, had := time.Now(), len(s.elsewhere)
	for node, until := range s.elsewhere {
		if now.After(until) {
			delete(s.elsewhere, node)
		}
	}
	if had > 0 && len(s.elsewhere) == 0 {
		s.armKeep(s.Keep.CancelAfter)
	}
}
