package conversation

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// deathPatience is for how long the node that made an answer may take to tell of its end, before others do.
const deathPatience = 2 * time.Second

// LookAfter has this node tell how an answer ended that another one makes now, if that one does not: it may have died.
// It is called for each question that a client here hears of. One goroutine looks after a session's answers, however
// often it is called.
func (s *Session) LookAfter() {
	if !s.service.store.shared() {
		return
	}
	s.service.mu.Lock()
	looking := s.looking
	s.looking, s.lookAgain = true, true
	s.service.mu.Unlock()
	if !looking {
		s.inBackground(func() {
			for s.mustLook() && s.look() {
			}
		})
	}
}

// mustLook reports whether LookAfter was called since it was asked last. If not, the goroutine that looks ends.
func (s *Session) mustLook() bool {
	s.service.mu.Lock()
	defer s.service.mu.Unlock()
	s.looking, s.lookAgain = s.lookAgain, false
	return s.looking
}

// look waits for the end of the answer that another node makes now, and tells it if that node has not. It reports false
// where the hub closes.
func (s *Session) look() bool {
	x, err := s.othersAnswer()
	for failures := 1; err != nil; failures++ {
		if errors.Is(err, errs.ErrNotFound) { // the conversation was forgotten
			return true
		}
		if !s.service.hub.Background().PauseAfter(failures) {
			return false
		}
		x, err = s.othersAnswer()
	}
	if x == nil {
		return true
	}
	if !x.outlive() {
		return false
	}
	x.conclude()
	return true
}

// othersAnswer returns the exchange that is under way on another node; nil for none.
func (s *Session) othersAnswer() (*exchange, error) {
	s.mu.Lock()
	r, err := s.loadLocked()
	own := s.own
	s.mu.Unlock()
	if err != nil || r.Running == nil || r.Running.Stream == own {
		return nil, err
	}
	return s.running(&r)
}

// outlive waits for the end of another node's stream, and a while more. It reports false where the hub closes first.
func (x *exchange) outlive() bool {
	if x.stream != nil {
		// The mirror of the stream stays as long as it has readers.
		reader := x.stream.WatchUncounted(log.Position{Now: true}, log.NewWake())
		defer reader.Close()
		if !x.await(x.stream.Done()) {
			return false
		}
	}
	return x.session.service.hub.Background().Pause(deathPatience/2 + rand.N(deathPatience))
}
