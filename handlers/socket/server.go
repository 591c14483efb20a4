package socket

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/handlers/writers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// Options configures a Server. Hub, Identify and Routes are required. Other zero fields mean their default.
type Options struct {
	Hub        *hub.Hub
	Authorizer rights.Authorizer // nil: the token's capabilities alone
	Logger     *slog.Logger      // nil: slog.Default
	Routes     Routes

	// Identify identifies who opens a socket. token is the client's authToken, or ""; other credentials are in the
	// request. An error refuses the socket.
	Identify func(r *http.Request, token string) (*rights.Identity, error)
	// Refresh verifies a token that a client has sent on its socket. Nil: sockets end when the token that they were
	// opened with expires.
	Refresh func(ctx context.Context, token string) (*rights.Identity, error)
	// Revoked reports whether an identity's token has been revoked. Nil: no token ever is.
	Revoked func(id *rights.Identity) bool
	// Enter counts a connection of an identity until leave is called; an error refuses it. Nil: no limit.
	Enter func(r *http.Request, id *rights.Identity, via hub.Transport) (leave func(), err error)
	// Rates limit how often a user may do what; nil: no limit.
	Rates *ratelimit.Set

	// AfterBurst is called after many sockets were opened, once no more are being opened, so that the memory of their
	// handshakes can be released. Nil: nothing.
	AfterBurst func()

	ChannelsPerSocket int           // (100)
	FrameBytes        int64         // maximum size of one message from a client (2 MiB); see HardBytes
	WriteTimeout      time.Duration // how long a client may accept no bytes (30 s)
	IdleTimeout       time.Duration // how long a WebSocket may be silent (60 s); it is pinged after half of it
	NoPing            bool          // do not ping: only what the client sends by itself counts
	PresenceGrace     time.Duration // how long the presence of a client that lost its connection remains (0: it does not)
	PollWindow        time.Duration // how long a long-poll waits for messages (10 s)
	PollLife          time.Duration // how long a long-poll session lasts without a poll (30 s)
	FrameLife         time.Duration // how long an SSE session lasts without its client, with its frames (30 s)
	Heartbeat         time.Duration // interval of heartbeats on an idle SSE socket (10 s)
}

func (o Options) withDefaults() Options {
	if o.Authorizer == nil {
		o.Authorizer = rights.CapsAuthorizer{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Enter == nil {
		o.Enter = func(*http.Request, *rights.Identity, hub.Transport) (func(), error) { return func() {}, nil }
	}
	if o.Revoked == nil {
		o.Revoked = neverRevoked
	}
	setDefault(&o.ChannelsPerSocket, 100)
	setDefault(&o.FrameBytes, 2<<20)
	setDefault(&o.WriteTimeout, 30*time.Second)
	setDefault(&o.IdleTimeout, 60*time.Second)
	setDefault(&o.PollWindow, 10*time.Second)
	setDefault(&o.PollLife, 30*time.Second)
	setDefault(&o.FrameLife, 30*time.Second)
	setDefault(&o.Heartbeat, 10*time.Second)
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Server manages all sockets of one node. Create it with NewServer; end it with Close. Safe for concurrent use.
type Server struct {
	Options
	tokens          *tokens
	closeHandshakes atomic.Int64 // closing handshakes under way
	writers         writers.Pool
	disconnects     disconnects

	ctx    context.Context // cancelled by Close
	cancel context.CancelFunc

	mu       sync.Mutex
	sockets  map[*Socket]func() // the value is leave, of Options.Enter
	sessions map[string]*session
	closing  bool
	work     sync.WaitGroup // readers, writers, channel workers, the sweeper
}

// NewServer returns a running server. Until Close, it runs one goroutine for pings and timeouts.
func NewServer(o Options) *Server {
	s := &Server{
		Options: o.withDefaults(), tokens: newTokens(o.Hub.Node()),
		sockets: make(map[*Socket]func()), sessions: make(map[string]*session),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.work.Go(s.sweep)
	return s
}

// tryGo runs f in a goroutine that Close waits for. After Close it returns false and does not run f.
func (s *Server) tryGo(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.work.Go(f)
	return true
}

// admit counts a client's connection, before anything is opened for it. An error refuses it.
func (s *Server) admit(r *http.Request, h *handshake, via hub.Transport) (leave func(), err error) {
	if s.isClosing() {
		return nil, errs.ErrClosed
	}
	return s.Enter(r, h.identity, via)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// newSocket returns the socket of an admitted client.
func (s *Server) newSocket(h *handshake, t transport, via hub.Transport) *Socket {
	sock := &Socket{server: s, id: "ses_" + ulid.Make().String(), version: h.version, transport: t, via: via}
	sock.setIdentity(h.identity)
	return sock
}

// add registers a socket whose transport is ready; ses is its session, or nil. It returns ErrClosed after Close. It
// succeeds while the server drains, although Drain may have told all sockets already: the caller checks isClosing.
func (s *Server) add(sock *Socket, ses *session, leave func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		leave()
		return errs.ErrClosed
	}
	s.sockets[sock] = leave
	if ses != nil {
		s.sessions[sock.id] = ses
	}
	return nil
}

// leave unregisters a socket that has ended.
func (s *Server) leave(sock *Socket) {
	s.mu.Lock()
	leave := s.sockets[sock]
	delete(s.sockets, sock)
	delete(s.sessions, sock.id)
	s.mu.Unlock()
	if leave != nil {
		leave()
	}
}

// all returns the sockets for which keep returns true. It reuses list.
func (s *Server) all(list []*Socket, keep func(*Socket) bool) []*Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	list = list[:0]
	for sock := range s.sockets {
		if keep(sock) {
			list = append(list, sock)
		}
	}
	return list
}

// WebSocket close codes (RFC 6455 §7.4.1). 1000 is never sent, because older clients do not reconnect after it.
const (
	closeGoingAway  = 1001
	closeProtocol   = 1002
	closeUTF8       = 1007
	closeTooBig     = 1009
	closeFrame      = 1011
	closeRestarting = 1012
	closeExpired    = 4001 // the token has expired: the client reconnects with a new one
	closeRevoked    = 4003 // the token was revoked: likewise
)

const restarting = "the server restarts"

// drainCloseTimeout bounds how long Drain waits for closing handshakes.
const drainCloseTimeout = 2 * time.Second

// Drain closes all sockets with code 1012, and refuses new ones from now on. The closes are spread over the time that
// ctx has left, at most half a second per thousand sockets, because each client reconnects ten milliseconds after its
// close. Drain returns when the last close was sent.
func (s *Server) Drain(ctx context.Context) {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	list := s.all(nil, func(*Socket) bool { return true })
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	inBatches(ctx, len(list), func(i int) { list[i].transport.close(closeRestarting, restarting) })
	// Close would abort closing handshakes that are still under way. The wait is bounded, because some clients never
	// answer.
	end := time.Now().Add(drainCloseTimeout)
	for s.closeHandshakes.Load() > 0 && ctx.Err() == nil && time.Now().Before(end) {
		time.Sleep(5 * time.Millisecond)
	}
}

// inBatches calls f with 0 to n-1, in batches of a hundred with a pause of 50 ms between them. After the end of ctx
// there are no pauses.
func inBatches(ctx context.Context, n int, f func(i int)) {
	for i := range n {
		f(i)
		if i%100 == 99 && i+1 < n {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}

// Close aborts all sockets, and returns when every goroutine of the server has ended.
func (s *Server) Close() {
	s.mu.Lock()
	s.closing = true
	s.cancel()
	s.mu.Unlock()
	for _, sock := range s.all(nil, func(*Socket) bool { return true }) {
		sock.transport.abort()
	}
	s.work.Wait()
	s.writers.Wait()
}

// sweepEvery is the interval of pings and of checks for timeouts and expired tokens.
const sweepEvery = time.Second

// sweep is the server's own goroutine. It serves all sockets with one ticker, because a timer for each socket would
// cost memory.
func (s *Server) sweep() {
	tick := time.NewTicker(min(sweepEvery, s.IdleTimeout/4))
	defer tick.Stop()
	var list []*Socket
	var rush burst
	for {
		select {
		case now := <-tick.C:
			list = s.all(list, func(*Socket) bool { return true })
			for _, sock := range list {
				sock.watchToken(now)
				sock.transport.tick(now)
			}
			if rush.isOver(len(list)) && s.AfterBurst != nil {
				s.AfterBurst()
			}
			clear(list)
		case <-s.ctx.Done():
			return
		}
	}
}

// burstSize is the number of additional sockets that make a burst.
const burstSize = 1000

// burst detects the end of a burst of new sockets.
type burst struct{ before, last int }

// isOver is called at each tick. It returns true once at the first tick without growth after a burst.
func (r *burst) isOver(sockets int) bool {
	grew := sockets > r.last
	r.last = sockets
	switch {
	case sockets < r.before:
		r.before = sockets
	case !grew && sockets >= r.before+burstSize:
		r.before = sockets
		return true
	}
	return false
}

// handshake has the results of an accepted client's handshake.
type handshake struct {
	identity *rights.Identity
	version  phoenix.Version
	parts    bool // the client takes long frames in parts
	began    time.Time
}
