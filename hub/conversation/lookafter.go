package conversation

import (
	"math/rand/v2"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// deathPatience is for how long the node that made an answer may take to tell of its end, before others do.
const deathPatience = 2 * time.Second

// LookAfter has this node tell how an answer ended that another one makes, if that one does not: it may have died.
func (s *Session) LookAfter(stream string) {
	if !s.service.store.shared() {
		return
	}
	s.awaitOnce(stream, func() {
		for failures := 0; failures == 0 || s.service.hub.PauseAfter(failures); failures++ {
			r, err := s.Record()
			if err != nil {
				continue
			}
			if r.Running == nil || r.Running.Stream != stream {
				return
			}
			x, err := s.running(&r)
			if err != nil {
				continue
			}
			if x.outlive() {
				x.conclude()
			}
			return
		}
	})
}

// outlive waits for the end of another node's stream, and a while more. It reports false where the hub closes first.
func (x *exchange) outlive() bool {
	if x.stream != nil {
		reader := x.stream.Listen(hub.Position{Now: true}, hub.NewWake()) // the mirror stays as long as it has readers
		defer reader.Close()
		if !x.await(x.stream.Done()) {
			return false
		}
	}
	return x.session.service.hub.Pause(deathPatience/2 + rand.N(deathPatience))
}
