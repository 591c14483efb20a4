package redis

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// Options configures a Store. URL is needed; a zero field of the rest means its default.
type Options struct {
	URL    string // redis://, rediss:// (TLS) or unix://, with user, password and database (see rueidis.ParseURL), or those of sentinels (see parseSentinelURL)
	Prefix string // before the name of each key and channel; for several installations on one Redis
	Node   string // the name of this node, of [A-Za-z0-9_-]; other nodes have others
	Logger *slog.Logger

	StreamTTL time.Duration // how long a stream is kept after its end, should its node not live to delete it (1 h)
	Lease     time.Duration // after how long of silence a node is dead (10 s)
	Replicas  int           // how many replicas of Redis must have a message or revocation before it counts as taken (0)

	CallBytes int64 // how much of requests to other nodes, of answers and of others' messages may each be under way (64 MiB)

	Timeout time.Duration                                               // of a command (5 s): then Redis counts as unreachable
	Dial    func(ctx context.Context, address string) (net.Conn, error) // in place of the network; for tests
}

// Store is one node's hand on Redis. Make it with Open; end it with Close. Safe for concurrent use.
type Store struct {
	Options
	client rueidis.Client
	conns  *connSet
	bus    *bus
	nodes  nodes
	names

	transfers transfers

	cluster bool // Redis is a cluster

	ownMu    sync.Mutex
	own      map[string]bool // this node's streams that are in its set
	ownOrder atomic.Int64

	queueEpoch atomic.Pointer[string] // as Redis last said

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// Open connects to Redis, which must be there: a node that begins alone would serve what the others do not have.
func Open(o Options) (*Store, error) {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.StreamTTL == 0 {
		o.StreamTTL = time.Hour
	}
	if o.Lease == 0 {
		o.Lease = 10 * time.Second
	}
	if o.CallBytes == 0 {
		o.CallBytes = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	opts, lines, err := clientOptions(&o)
	if err != nil {
		return nil, err
	}
	names, err := newNames(o.Prefix, opts.SelectDB)
	if err != nil {
		return nil, err
	}
	client, err := rueidis.NewClient(opts)
	if err != nil {
		return nil, fmt.Errorf("redis_url: %w", err)
	}
	s := &Store{Options: o, client: client, conns: lines, names: names, own: make(map[string]bool)}
	s.ownOrder.Store(time.Now().UnixMicro()) // behind that of the node's life before
	s.nodes = nodes{store: s, waiting: make(map[uint64]chan answered), known: make(map[string]bool), servers: make(map[string]bool)}
	s.transfers = newTransfers(o.CallBytes)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.bus = newBus(s)
	info, _ := s.do(client.B().Info().Section("cluster").Build()).ToString() // a server that does not know is none
	s.cluster = infoField(info, "cluster_enabled") == "1"
	if _, err := s.runQueue(queueSummaryScript, "0"); err != nil { // for the epoch
		s.cancel()
		client.Close()
		return nil, err
	}
	s.work.Go(s.bus.run)
	return s, nil
}

// clientOptions are those of the connections to Redis, which are among the lines.
func clientOptions(o *Options) (opts rueidis.ClientOption, ls *connSet, err error) {
	if opts, err = parseURL(o.URL); err != nil {
		return opts, nil, fmt.Errorf("redis_url: %w", err)
	}
	// One protocol for servers of every age, and no caching in the client: nothing of RESP3 is needed.
	opts.AlwaysRESP2, opts.DisableCache = true, true
	opts.DisableRetry = true // a script that was sent may have run: whether to send it again is for us to say
	opts.ConnWriteTimeout = o.Timeout
	opts.Dialer.Timeout, opts.Sentinel.Dialer.Timeout = o.Timeout, o.Timeout
	opts.ClientName = "duckwire-" + o.Node
	ls = &connSet{dial: opts.DialCtxFn, open: make(map[*trackedConn]struct{})}
	switch {
	case o.Dial != nil:
		ls.dial = func(ctx context.Context, address string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return o.Dial(ctx, address)
		}
	case ls.dial == nil:
		ls.dial = dialDirectly
	}
	opts.DialCtxFn = ls.connect
	return opts, ls, nil
}

// do runs one command.
func (s *Store) do(command rueidis.Completed) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(s.ctx, s.Timeout)
	defer cancel()
	return s.checkMaster(s.client.Do(ctx, command))[0]
}

// doAll runs commands that do not wait for each other's answers. Its error is the first one's that has failed: ErrUnavailable.
func (s *Store) doAll(commands ...rueidis.Completed) ([]rueidis.RedisResult, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.Timeout)
	defer cancel()
	answers := s.checkMaster(s.client.DoMulti(ctx, commands...)...)
	for _, answer := range answers {
		if err := answer.Error(); err != nil {
			return answers, unavailable(err)
		}
	}
	return answers, nil
}

// Err says why Redis cannot be used at the moment, as of the last beat of this node; nil where it can.
func (s *Store) Err() error {
	s.nodes.mu.Lock()
	defer s.nodes.mu.Unlock()
	return s.nodes.err
}

// Close ends the connections, and returns when every goroutine of the store has ended.
func (s *Store) Close() {
	s.cancel()
	s.work.Wait()
	s.client.Close()
}
