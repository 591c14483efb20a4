package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Reconnect is the load of readers of one topic whose connections are all closed at once, and which miss events and
// then all resume at once.
type Reconnect struct {
	Readers int
	Missed  int // events published while they are disconnected
	Cuts    int
	Payload int
	Over    Transport
}

func (s *Reconnect) load() (string, map[string]any) {
	return "reconnect", map[string]any{
		"readers": s.Readers, "missed": s.Missed, "cuts": s.Cuts,
		"payload_bytes": s.Payload, "transport": s.Over.name(),
	}
}

func (s *Reconnect) bare() bool { return false }

func (s *Reconnect) run(ctx context.Context, t *Target, server string) (round Round, err error) {
	if err := checkFiles(s.Readers); err != nil {
		return round, err
	}
	f := topicFeed("bench:"+unique()+":reconnect", s.Over)
	err = gather(ctx, t, []*feed{f}, s.Readers, true, func(ctx context.Context, c *crowd) error {
		if err := s.publish(ctx, c, 1); err != nil { // so that every reader has a position
			return err
		}
		if err := c.settle(ctx); err != nil {
			return err
		}
		m := c.begin(server)
		for range s.Cuts {
			if err := s.cut(ctx, c); err != nil {
				return err
			}
		}
		round = m.end()
		return nil
	})
	return round, err
}

// cut closes all connections, publishes the events that the readers miss, reconnects them, and waits until they have
// received everything. The latency is the time from the first reconnect to each event's arrival.
func (s *Reconnect) cut(ctx context.Context, c *crowd) error {
	c.close()
	if err := s.publish(ctx, c, s.Missed); err != nil {
		return err
	}
	now := time.Now().UnixNano()
	for i := range c.feeds[0].sent {
		c.feeds[0].sent[i].Store(now)
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	return c.settle(ctx)
}

// publish publishes n events, in batches within any server's limits.
func (s *Reconnect) publish(ctx context.Context, c *crowd, n int) error {
	p, err := newPoster(ctx, c.target)
	if err != nil {
		return err
	}
	defer p.close()
	for n > 0 {
		batch := Fanout{Payload: s.Payload, Batch: min(n, 50)}
		f := c.feeds[0]
		from := f.published.Load()
		body := batch.appendBatch(nil, from+1)
		f.publish(from + uint64(batch.Batch))
		if err := p.post(f.write, jsonHeader(batch.Batch), body); err != nil {
			return errors.Join(err, ctx.Err())
		}
		n -= batch.Batch
	}
	return nil
}

func (s *Reconnect) notes(r *Report) []string {
	whole := middle(r.Rounds, func(r *Round) float64 { return r.Latency.Max })
	return []string{fmt.Sprintf("%d readers, cut %d times at once, came back with what they had missed, nothing "+
		"lost or repeated; all were whole after %.0f ms", s.Readers, s.Cuts, whole)}
}
