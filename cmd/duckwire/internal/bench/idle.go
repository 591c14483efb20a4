package bench

import (
	"context"
	"fmt"
	"time"
)

// Idle is the load of many readers of a topic without events. It measures the memory of a connection.
type Idle struct {
	Readers int
	Settle  time.Duration // how long to wait before the server's memory is measured
	Over    Transport
}

func (s *Idle) load() (string, map[string]any) {
	return "idle", map[string]any{"readers": s.Readers, "seconds": s.Settle.Seconds(), "transport": s.Over.name()}
}

func (s *Idle) bare() bool { return true }

func (s *Idle) run(ctx context.Context, t *Target, server string) (round Round, err error) {
	if err := checkFiles(s.Readers); err != nil {
		return round, err
	}
	feeds := []*feed{topicFeed("bench:"+unique()+":idle", s.Over)}
	before, begun := t.usage(), time.Now()
	err = gather(ctx, t, feeds, s.Readers, false, func(ctx context.Context, c *crowd) error {
		connected := time.Since(begun)
		if err := sleep(ctx, s.Settle); err != nil {
			return err
		}
		after := t.usage()
		round = Round{
			Server: server, Seconds: round3(connected.Seconds()), Peak: after.peak,
			CPU: (after.cpu - before.cpu).Seconds(),
		}
		round.PerConn = (after.rss - before.rss) / int64(s.Readers)
		return nil
	})
	return round, err
}

func (s *Idle) notes(r *Report) []string {
	perReader := middle(r.of(duckwire), func(r *Round) float64 { return float64(r.PerConn) })
	if perReader == 0 {
		return []string{"the server's memory is not known: it is not ours"}
	}
	return []string{fmt.Sprintf("an idle reader takes %.1f KiB of the server's memory "+
		"(the kernel's buffers not counted); 10,000 of them %.0f MiB", perReader/(1<<10), perReader*10_000/(1<<20))}
}
