package bench

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// eventsHeader tells the bare loop how many events a body contains. Duckwire ignores it.
const eventsHeader = "Bench-Events"

// warmUp is the maximum time for which the load runs before it is measured.
const warmUp = time.Second

// Fanout is the load of many readers of few topics.
type Fanout struct {
	Readers  int
	Topics   int     // over which the readers are spread
	Rate     float64 // events per second, over all topics
	Payload  int     // minimum size of an event's payload in bytes
	Duration time.Duration
	Max      bool // publish in batches as fast as possible, and ignore Rate
	Batch    int  // events per request with Max
	Stalled  int  // additional readers that never read
	Over     Transport
}

func (s *Fanout) load() (string, map[string]any) {
	load := map[string]any{
		"readers": s.Readers, "topics": s.Topics, "payload_bytes": s.Payload,
		"seconds": s.Duration.Seconds(), "transport": s.Over.name(),
	}
	if s.Stalled > 0 {
		load["stalled"] = s.Stalled
	}
	if s.Max {
		load["batch"] = s.Batch
		return "fanout, as fast as it goes", load
	}
	load["events_per_second"] = s.Rate
	return "fanout", load
}

func (s *Fanout) bare() bool { return !s.Max && s.Stalled == 0 }

func (s *Fanout) run(ctx context.Context, t *Target, server string) (round Round, err error) {
	if err := checkFiles(s.Readers + s.Stalled); err != nil {
		return round, err
	}
	name := unique()
	feeds := make([]*feed, s.Topics)
	for i := range feeds {
		feeds[i] = topicFeed(fmt.Sprintf("bench:%s:%d", name, i), s.Over)
	}
	stalled, err := s.stall(ctx, t, feeds[0])
	if err != nil {
		return round, err
	}
	defer closeAll(stalled)
	err = gather(ctx, t, feeds, s.Readers, false, func(ctx context.Context, c *crowd) error {
		if err := s.phase(ctx, c, min(warmUp, s.Duration/5)); err != nil {
			return err
		}
		m := c.begin(server)
		if err := s.phase(ctx, c, s.Duration); err != nil {
			return err
		}
		round = m.end()
		return nil
	})
	return round, err
}

// phase publishes for the duration d, and waits until every reader has received every event.
func (s *Fanout) phase(ctx context.Context, c *crowd, d time.Duration) error {
	publish := s.paced
	if s.Max {
		publish = s.flood
	}
	if err := publish(ctx, c, d); err != nil {
		return err
	}
	return c.settle(ctx)
}

// paced publishes single events at a constant rate, to the topics in turn.
func (s *Fanout) paced(ctx context.Context, c *crowd, d time.Duration) error {
	posters, err := newPosters(ctx, c.target)
	if err != nil {
		return err
	}
	defer posters.close()
	var body []byte
	return pace(ctx, s.Rate, d, func(i int) error {
		f := c.feeds[i%len(c.feeds)]
		n := f.published.Load() + 1
		body = s.appendEvent(body[:0], n)
		f.publish(n)
		return posters[i%len(posters)].post(f.write, jsonHeader(1), body)
	})
}

// floodWindow is how many events the slowest reader may be behind. It is less than a topic's history, so that no reader
// misses events.
const floodWindow = 500

// flood publishes batches without pauses over two connections, each of which publishes to half of the topics in turn.
func (s *Fanout) flood(ctx context.Context, c *crowd, d time.Duration) error {
	const posters = 2
	until := time.Now().Add(d)
	group, ctx := errgroup.WithContext(ctx)
	for i := range min(posters, len(c.feeds)) {
		group.Go(func() error {
			p, err := newPoster(ctx, c.target.node(i))
			if err != nil {
				return err
			}
			defer p.close()
			for k := i; time.Now().Before(until); k += posters {
				if k >= len(c.feeds) {
					k = i
				}
				if err := s.batch(ctx, p, c.feeds[k]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// batch publishes one batch as soon as the slowest reader of the topic is within floodWindow.
func (s *Fanout) batch(ctx context.Context, p *poster, f *feed) error {
	from := f.published.Load()
	for from+uint64(s.Batch)-f.slowest() > floodWindow {
		if err := sleep(ctx, 200*time.Microsecond); err != nil {
			return err
		}
	}
	body := s.appendBatch(nil, from+1)
	f.publish(from + uint64(s.Batch))
	return p.post(f.write, jsonHeader(s.Batch), body)
}

// appendBatch appends an array of events from number n on.
func (s *Fanout) appendBatch(dst []byte, n uint64) []byte {
	for i := range uint64(s.Batch) {
		dst = append(dst, "[,"[min(i, 1)])
		dst = s.appendEvent(dst, n+i)
	}
	return append(dst, ']')
}

// appendEvent appends event n with a payload of the configured size.
func (s *Fanout) appendEvent(dst []byte, n uint64) []byte {
	dst = append(dst, `{"event":"tick","payload":{"n":`...)
	begin := len(dst)
	dst = strconv.AppendUint(dst, n, 10)
	const around = len(`{"n":,"pad":""}`)
	pad := max(0, s.Payload-around-(len(dst)-begin))
	dst = append(append(dst, `,"pad":"`...), bytes.Repeat([]byte{'x'}, pad)...)
	return append(dst, `"}}`...)
}

func jsonHeader(events int) string {
	return "Content-Type: application/json\r\n" + eventsHeader + ": " + strconv.Itoa(events) + "\r\n"
}

// stall opens connections that subscribe to the topic and never read, with small receive buffers.
func (s *Fanout) stall(ctx context.Context, t *Target, f *feed) (conns []net.Conn, err error) {
	for range s.Stalled {
		conn, err := (&net.Dialer{Timeout: callTimeout}).DialContext(ctx, "tcp", t.addr)
		if err != nil {
			closeAll(conns)
			return nil, err
		}
		conns = append(conns, conn)
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4 << 10)
		}
		r := reader{feed: f, conn: conn}
		if _, err = conn.Write(append(r.ask(t), "\r\n"...)); err == nil && f.topic != "" {
			err = r.sendJoin()
		}
		if err != nil {
			closeAll(conns)
			return nil, err
		}
	}
	return conns, nil
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

func (s *Fanout) notes(r *Report) []string {
	if s.Stalled == 0 {
		return nil
	}
	growth := middle(r.Rounds, func(r *Round) float64 { return float64(r.Growth) }) / (1 << 20)
	return []string{fmt.Sprintf("%d stalled: the other %d readers got everything, in order; the server's memory "+
		"grew by %.1f MiB under the load", s.Stalled, s.Readers, growth)}
}
