package channels

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
)

// presenceEvery is how often one client's meta is shown to the others while it changes all the time.
const presenceEvery = time.Second

// presenceMeta is a client's meta on a topic, as it changes.
type presenceMeta struct {
	c *socket.Channel

	mu    sync.Mutex
	meta  map[string]any
	shown time.Time
	timer *time.Timer // shows what came too soon after the last time; nil: all is shown
	over  bool
}

// trackPresence shows a joining client who is there, and shows it to the others where its token allows it.
func trackPresence(ctx context.Context, c *socket.Channel, meta map[string]any) (*presenceMeta, error) {
	if err := c.WatchPresence(); err != nil {
		return nil, err
	}
	p := &presenceMeta{c: c, meta: meta}
	switch err := c.Authorize(ctx, c.Topic(), rights.ActionPresence); {
	case err == nil:
		return p, c.Track(meta)
	case errors.Is(err, errs.ErrForbidden):
		return p, nil // it reads, unseen
	default:
		return nil, err
	}
}

// set changes a member of the meta. The others see it now, or, if they have just seen another change, a little later.
func (p *presenceMeta) set(name string, value any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meta[name] = value
	if p.timer != nil || p.over {
		return
	}
	if wait := presenceEvery - time.Since(p.shown); wait > 0 {
		p.timer = time.AfterFunc(wait, p.late)
		return
	}
	p.show()
}

func (p *presenceMeta) late() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = nil
	if !p.over {
		p.show()
	}
}

// show updates the presence. p.mu is held.
func (p *presenceMeta) show() {
	p.shown = time.Now()
	if err := p.c.UpdatePresence(maps.Clone(p.meta)); err != nil { // all that can go into a meta here is small
		p.c.Logger().Warn("a presence was not updated", "topic", p.c.Topic(), "user", p.c.User(), "error", err)
	}
}

// end stops what is still to be shown.
func (p *presenceMeta) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.timer != nil {
		p.timer.Stop()
	}
}
