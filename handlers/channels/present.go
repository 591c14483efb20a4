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

// presenceBatchDelay is the minimum interval between updates of one client's meta.
const presenceBatchDelay = time.Second

// presenceMeta is a client's changing meta on a topic.
type presenceMeta struct {
	c *socket.Channel

	mu    sync.Mutex
	meta  map[string]any
	shown time.Time
	timer *time.Timer // publishes changes that came before presenceBatchDelay had passed; nil: none pending
	over  bool
}

// trackPresence sends a joining client the presence on the topic, and makes the client present if its token allows it.
func trackPresence(ctx context.Context, c *socket.Channel, meta map[string]any) (*presenceMeta, error) {
	if err := c.WatchPresence(); err != nil {
		return nil, err
	}
	p := &presenceMeta{c: c, meta: meta}
	switch err := c.Authorize(ctx, c.Topic(), rights.ActionPresence); {
	case err == nil:
		return p, c.Track(meta)
	case errors.Is(err, errs.ErrForbidden):
		return p, nil // it may read without being present
	default:
		return nil, err
	}
}

// set changes a member of the meta. The others see it now, or after presenceBatchDelay since the previous change.
func (p *presenceMeta) set(name string, value any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meta[name] = value
	if p.timer != nil || p.over {
		return
	}
	if wait := presenceBatchDelay - time.Since(p.shown); wait > 0 {
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

// show publishes the meta. p.mu is held.
func (p *presenceMeta) show() {
	p.shown = time.Now()
	if err := p.c.UpdatePresence(maps.Clone(p.meta)); err != nil { // not expected: the meta is small
		p.c.Logger().Warn("a presence was not updated", "topic", p.c.Topic(), "user", p.c.User(), "error", err)
	}
}

// end cancels a pending update.
func (p *presenceMeta) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.timer != nil {
		p.timer.Stop()
	}
}
