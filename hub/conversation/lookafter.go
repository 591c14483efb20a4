package conversation

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// takeoverDelay is how long a node may take to publish the end of its answer before other nodes do it.
const takeoverDelay = 2 * time.Second

// LookAfter makes this node watch the answer that another node is writing, and publish its end if the other node does
// not, because it has died. It must be called for each question that a client of this node hears of. One goroutine
// watches all answers of a session, however often LookAfter is called.
func (s *Session) LookAfter() {
	if !s.service.store.shared() {
		return
	}
	s.service.mu.Lock()
	watching := s.watching
	s.watching, s.watchAgain = true, true
	s.service.mu.Unlock()
	if !watching {
		s.inBackground(func() {
			for s.watchRequested() && s.watchAnswer() {
			}
		})
	}
}

// watchRequested reports whether LookAfter was called since the last call of watchRequested. If not, the goroutine that
// watches ends.
func (s *Session) watchRequested() bool {
	s.service.mu.Lock()
	defer s.service.mu.Unlock()
	s.watching, s.watchAgain = s.watchAgain, false
	return s.watching
}

// watchAnswer waits for the end of the answer that another node is writing, if there is one, and concludes it unless
// that node does. It returns false if the hub closes.
func (s *Session) watchAnswer() bool {
	x, err := s.remoteAnswer()
	for failures := 1; err != nil; failures++ {
		if errors.Is(err, errs.ErrNotFound) { // the conversation has expired
			return true
		}
		if !s.service.hub.Background().PauseAfter(failures) {
			return false
		}
		x, err = s.remoteAnswer()
	}
	if x == nil {
		return true
	}
	if !x.awaitTakeover() {
		return false
	}
	x.conclude()
	return true
}

// remoteAnswer returns the exchange that is running on another node, or nil.
func (s *Session) remoteAnswer() (*exchange, error) {
	s.mu.Lock()
	r, err := s.loadLocked()
	own := s.own
	s.mu.Unlock()
	if err != nil || r.Running == nil || r.Running.Stream == own {
		return nil, err
	}
	return s.running(&r)
}

// awaitTakeover waits for the end of another node's stream, and then about takeoverDelay. The delay is random, so that
// not all nodes take over at once. It returns false if the hub closes first.
func (x *exchange) awaitTakeover() bool {
	if x.stream != nil {
		// A reader prevents that the replica of the stream expires.
		reader := x.stream.WatchUncounted(log.Position{Now: true}, log.NewWake())
		defer reader.Close()
		if !x.await(x.stream.Done()) {
			return false
		}
	}
	return x.session.service.hub.Background().Pause(takeoverDelay/2 + rand.N(takeoverDelay))
}
