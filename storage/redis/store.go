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

// Options configures a Store. URL is required; a zero value of any other field means its default.
type Options struct {
	// redis://, rediss:// (TLS) or unix://, with user, password and database (rueidis.ParseURL), or parseSentinelURL's
	URL    string
	Prefix string // prefix of all keys and channels, for several installations on one Redis
	Node   string // this node's name, of [A-Za-z0-9_-], different from that of any other node
	Logger *slog.Logger

	StreamTTL time.Duration // retention of an ended stream that its node did not delete, because it died (1 h)
	Lease     time.Duration // how long a node may be silent before it counts as dead (10 s)
	Replicas  int           // replicas that must confirm a message or revocation before it is acknowledged (0)

	CallBytes int64 // limit of bytes in transit, each for requests, answers and messages of other nodes (64 MiB)

	// timeout of a command (5 s); Redis then counts as unreachable
	Timeout time.Duration
	Dial    func(ctx context.Context, address string) (net.Conn, error) // replaces the network in tests
}

// Store is one node's access to Redis. Open it with Open, end it with Close. Safe for concurrent use.
type Store struct {
	Options
	client rueidis.Client
	conns  *connSet
	bus    *bus
	nodes  nodes
	names

	transfers transfers

	cluster bool // whether Redis is a cluster

	ownMu    sync.Mutex
	own      map[string]bool // this node's streams that are known to be in its set in Redis
	ownOrder atomic.Int64

	queueEpoch atomic.Pointer[string] // as of the last script of the queues

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// Open connects to Redis. It fails if Redis cannot be reached: a node that starts alone would not have what the other
// nodes share.
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
	opts, conns, err := clientOptions(&o)
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
	s := &Store{Options: o, client: client, conns: conns, names: names, own: make(map[string]bool)}
	s.ownOrder.Store(time.Now().UnixMicro()) // higher than the numbers of an earlier process of the same node
	s.nodes = nodes{
		store: s, waiting: make(map[uint64]chan result), watched: make(map[string]bool),
		servers: make(map[string]bool),
	}
	s.transfers = newTransfers(o.CallBytes)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.bus = newBus(s)
	// a server without this section is not a cluster
	info, _ := s.do(client.B().Info().Section("cluster").Build()).ToString()
	s.cluster = infoField(info, "cluster_enabled") == "1"
	if _, err := s.runQueue(queueSummaryScript, "0"); err != nil { // reads the epoch of the queues
		s.cancel()
		client.Close()
		return nil, err
	}
	s.work.Go(s.bus.run)
	return s, nil
}

// clientOptions returns the options of the client, and the set that tracks its connections.
func clientOptions(o *Options) (opts rueidis.ClientOption, set *connSet, err error) {
	if opts, err = parseURL(o.URL); err != nil {
		return opts, nil, fmt.Errorf("redis_url: %w", err)
	}
	// RESP2 works with servers of every version, and nothing of RESP3 is used.
	opts.AlwaysRESP2, opts.DisableCache = true, true
	// a script may have run although its answer was lost: only the caller can tell whether to repeat it
	opts.DisableRetry = true
	opts.ConnWriteTimeout = o.Timeout
	opts.Dialer.Timeout, opts.Sentinel.Dialer.Timeout = o.Timeout, o.Timeout
	opts.ClientName = "duckwire-" + o.Node
	set = &connSet{dial: opts.DialCtxFn, open: make(map[*trackedConn]struct{})}
	switch {
	case o.Dial != nil:
		set.dial = func(ctx context.Context, address string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return o.Dial(ctx, address)
		}
	case set.dial == nil:
		set.dial = dialDirectly
	}
	opts.DialCtxFn = set.connect
	return opts, set, nil
}

// do runs one command.
func (s *Store) do(command rueidis.Completed) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(s.ctx, s.Timeout)
	defer cancel()
	return s.checkMaster(s.client.Do(ctx, command))[0]
}

// doAll pipelines commands. Its error, which matches ErrUnavailable, is that of the first command that failed.
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

// Err returns why Redis could not be used at the last heartbeat of this node, or nil.
func (s *Store) Err() error {
	s.nodes.mu.Lock()
	defer s.nodes.mu.Unlock()
	return s.nodes.err
}

// Close closes the connections, and returns when every goroutine of the store has ended.
func (s *Store) Close() {
	s.cancel()
	s.work.Wait()
	s.client.Close()
}
