package channels

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// deathPatience is for how long the node that made an answer may take to tell of its end, before others do.
const deathPatience = 2 * time.Second

// lookAfter has this node tell how an answer ended that another one makes, if that one does not: it may have died.
func (t *talk) lookAfter(h *hub.Hub, logger *slog.Logger, stream string) {
	if !t.of.store.shared() {
		return
	}
	t.attend(h, stream, func() {
		for failures := 0; failures == 0 || h.PauseAfter(failures); failures++ {
			r, err := t.snapshot()
			if err != nil {
				continue
			}
			if r.Running == nil || r.Running.Stream != stream {
				return
			}
			u, err := t.turn(h, logger, &r)
			if err != nil {
				continue
			}
			if u.outlive() {
				u.conclude()
			}
			return
		}
	})
}

// outlive waits for the end of another node's stream, and a while more. It reports false where the hub closes first.
func (u *turn) outlive() bool {
	if u.stream != nil {
		reader := u.stream.WatchUncounted(log.Position{Now: true}, log.NewWake()) // the mirror stays as long as it has readers
		defer reader.Close()
		if !u.await(u.stream.Done()) {
			return false
		}
	}
	return u.hub.Pause(deathPatience/2 + rand.N(deathPatience))
}
