package clustertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// provider produces as many pieces as the prompt says, with varying delays.
type provider struct {
	pace time.Duration // delay of the fastest piece

	mu sync.Mutex
	n  int
}

func (p *provider) running() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

func (p *provider) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n += n
}

// Models implements hub.Provider.
func (p *provider) Models(context.Context) ([]hub.Model, error) { return nil, nil }

// Complete implements hub.Provider.
func (p *provider) Complete(ctx context.Context, req *hub.CompletionRequest, out hub.CompletionWriter) error {
	p.add(1)
	defer p.add(-1)
	pieces, _ := strconv.Atoi(req.Prompt)
	for i := range pieces {
		if err := out.Text(madePiece(i)); err != nil {
			return err
		}
		select {
		case <-time.After(time.Duration(1+i%7) * p.pace):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	out.Finish(hub.Finish{Reason: "stop"})
	return nil
}

func madePiece(i int) string { return fmt.Sprintf("%d·", i) }

func madeText(pieces int) string {
	var b strings.Builder
	for i := range pieces {
		b.WriteString(madePiece(i))
	}
	return b.String()
}

// completion is one that a client requests under its own id, and retries until it is accepted. It is read, and
// sometimes cancelled, through any node.
func (w *world) completion(i int, rng *rand.Rand) {
	pieces := 1 + rng.IntN(200)
	all := madeText(pieces)
	m := w.newStreamModel(fmt.Sprintf("asker%d", i))
	m.whole = func(text string) bool { return text == all }
	m.script = func(text string) error {
		if strings.HasPrefix(all, text) {
			return nil
		}
		return fmt.Errorf("%q is not what is made", text)
	}
	own, cancels := child(rng), rng.IntN(3) == 0
	w.work.Go(func() {
		if m.ask(own, pieces) && cancels {
			m.cancel(own)
		}
	})
	m.addReaders(rng)
	w.checks = append(w.checks, m.checkCompletion)
}

func (m *streamModel) ask(rng *rand.Rand, pieces int) bool {
	w := m.w
	w.rest(rng, active/2)
	return m.askUntilTaken(rng, func(on *node) (*hub.Stream, bool, error) {
		req := &hub.CompletionRequest{Kind: hub.TextCompletion, Prompt: strconv.Itoa(pieces)}
		spec := hub.StreamSpec{Kind: "completion", Owner: m.owner, Alias: "mine", Digest: req.Prompt}
		return on.Complete(req, spec, hub.CompletionMeta{Kind: hub.TextCompletion})
	})
}

// askUntilTaken sends a request to random nodes until one accepts it.
func (m *streamModel) askUntilTaken(rng *rand.Rand, ask func(on *node) (*hub.Stream, bool, error)) bool {
	w := m.w
	for {
		on, done := w.use(rng)
		s, attached, err := ask(on)
		done()
		w.tracef("%s asks on %s: attached %t, %v", m.owner, on.name, attached, err)
		if err == nil {
			m.mu.Lock()
			m.id, m.made = s.ID, true
			m.mu.Unlock()
			return true
		}
		if !passing(err) && !errors.Is(err, errs.ErrNotFound) {
			w.failf("%s cannot ask: %v", m.owner, err)
			return false
		}
		if !w.pause(rng, time.Second) {
			return false
		}
	}
}

func (m *streamModel) checkCompletion() {
	if m.made {
		m.check()
	}
}
