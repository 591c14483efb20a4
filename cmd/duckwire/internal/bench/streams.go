package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// Streams is the load of many streams with one reader each.
type Streams struct {
	Streams   int
	Rate      float64 // tokens per second of each stream
	Batch     int     // tokens per append
	Producers int     // connections that append
	Duration  time.Duration
}

func (s *Streams) load() (string, map[string]any) {
	return "streams", map[string]any{
		"streams": s.Streams, "tokens_per_second": s.Rate * float64(s.Streams),
		"batch": s.Batch, "seconds": s.Duration.Seconds(),
	}
}

func (s *Streams) bare() bool { return true }

func (s *Streams) run(ctx context.Context, t *Target, server string) (round Round, err error) {
	if err := checkFiles(s.Streams + s.Producers); err != nil {
		return round, err
	}
	feeds, err := s.create(ctx, t)
	if err != nil {
		return round, err
	}
	err = gather(ctx, t, feeds, len(feeds), false, func(ctx context.Context, c *crowd) error {
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

// create creates the streams.
func (s *Streams) create(ctx context.Context, t *Target) ([]*feed, error) {
	posters, err := newPosters(ctx, t)
	if err != nil {
		return nil, err
	}
	defer posters.close()
	feeds := make([]*feed, s.Streams)
	for i := range feeds {
		// the reader connects to node i, so every pair of producer's and reader's node is about equally frequent
		p := posters[i/len(posters)%len(posters)]
		if err := p.post("/v1/streams", "Content-Type: application/json\r\n", []byte(`{"kind":"bench"}`)); err != nil {
			return nil, fmt.Errorf("%w (after %d streams; the server's limit is streams_per_user)", err, i)
		}
		var made struct{ ID string }
		if err := json.Unmarshal(p.body, &made); err != nil || made.ID == "" {
			return nil, fmt.Errorf("POST /v1/streams answered %q", p.body)
		}
		path := "/v1/streams/" + made.ID
		feeds[i] = &feed{read: path, write: path + "/append", parse: parseTokens}
	}
	return feeds, nil
}

// phase appends for the duration d, to the streams in turn, and waits until every reader has received everything.
func (s *Streams) phase(ctx context.Context, c *crowd, d time.Duration) error {
	producers := min(s.Producers, len(c.feeds))
	rate := s.Rate * float64(s.Streams) / float64(s.Batch) / float64(producers)
	group, gctx := errgroup.WithContext(ctx)
	for i := range producers {
		group.Go(func() error {
			// spread the producers evenly
			if err := sleep(gctx, time.Duration(float64(i)/float64(producers)/rate*float64(time.Second))); err != nil {
				return err
			}
			return s.produce(gctx, c, i, producers, rate, d)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return c.settle(ctx)
}

// produce appends to every producers-th stream.
func (s *Streams) produce(ctx context.Context, c *crowd, first, producers int, rate float64, d time.Duration) error {
	p, err := newPoster(ctx, c.target.node(first))
	if err != nil {
		return err
	}
	defer p.close()
	header := "Content-Type: text/plain\r\n"
	if s.Batch > 1 {
		header = "Content-Type: application/x-ndjson\r\n"
	}
	header += eventsHeader + ": " + strconv.Itoa(s.Batch) + "\r\n"
	var body []byte
	at := first
	return pace(ctx, rate, d, func(int) error {
		f := c.feeds[at]
		if at += producers; at >= len(c.feeds) {
			at = first
		}
		from := f.published.Load()
		body = s.appendBody(body[:0], from+1)
		f.publish(from + uint64(s.Batch))
		return p.post(f.write, header, body)
	})
}

// appendBody appends one token as plain text, or a batch of tokens as NDJSON.
func (s *Streams) appendBody(dst []byte, n uint64) []byte {
	if s.Batch == 1 {
		return appendToken(dst, n)
	}
	for i := range uint64(s.Batch) {
		dst = appendToken(append(dst, `{"text":"`...), n+i)
		dst = append(dst, "\"}\n"...)
	}
	return dst
}
