package socket

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
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

// Options configures a Server. Hub, Identify and Routes are needed; a zero field of the rest means its default.
type Options struct {
	Hub        *hub.Hub
	Authorizer rights.Authorizer // nil: the token's capabilities alone
	Logger     *slog.Logger      // nil: slog.Default
	Routes     []Route

	// Identify says who opens a socket. token is what came in the client's authToken, or ""; the request has the rest. An error refuses.
	Identify func(r *http.Request, token string) (*rights.Identity, error)
	// Renew says who a token is from that a client has sent on its socket. Nil: sockets live as long as the token that they were opened with.
	Renew func(ctx context.Context, token string) (*rights.Identity, error)
	// Revoked says whether an identity's token has been revoked. Nil: none ever.
	Revoked func(id *rights.Identity) bool
	// Enter counts a connection of a user, until leave is called; an error refuses. Nil: no limit.
	Enter func(r *http.Request, user string, via hub.Transport) (leave func(), err error)
	// Rates say how often a user may do what; nil: there is no limit.
	Rates *ratelimit.Set

	// AfterRush is called when many sockets have been opened and it is quiet again: what their handshakes took can be given back. Nil: nothing.
	AfterBurst func()

	ChannelsPerSocket int           // (100)
	FrameBytes        int64         // of one message from a client (2 MiB)
	WriteTimeout      time.Duration // how long a client may take no bytes (30 s)
	IdleTimeout       time.Duration // how long a WebSocket may be silent (60 s); it is pinged at half of it
	NoPing            bool          // it is not: what counts is what the client sends of its own
	PresenceGrace     time.Duration // how long the presence of a client that broke off waits for it (0: not at all)
	PollWindow        time.Duration // how long a long-poll waits for a message (10 s)
	PollLife          time.Duration // how long a long-poll session lives without a poll (30 s)
	FrameLife         time.Duration // how long an SSE socket waits for its client, with its frames (30 s)
	Heartbeat         time.Duration // of silence before a sign of life on an SSE socket (10 s)
}

func (o Options) withDefaults() Options {
	if o.Authorizer == nil {
		o.Authorizer = rights.CapsAuthorizer{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Enter == nil {
		o.Enter = func(*http.Request, string, hub.Transport) (func(), error) { return func() {}, nil }
	}
	if o.Revoked == nil {
		o.Revoked = neverRevoked
	}
	def(&o.ChannelsPerSocket, 100)
	def(&o.FrameBytes, 2<<20)
	def(&o.WriteTimeout, 30*time.Second)
	def(&o.IdleTimeout, 60*time.Second)
	def(&o.PollWindow, 10*time.Second)
	def(&o.PollLife, 30*time.Second)
	def(&o.FrameLife, 30*time.Second)
	def(&o.Heartbeat, 10*time.Second)
	return o
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Server holds every socket of one node. Create it with NewServer; end it with Close. Safe for concurrent use.
type Server struct {
	Options
	tokens          *tokens
	closeHandshakes atomic.Int64 // WebSockets that are saying goodbye
	writers         writers.Pool
	disconnects     disconnects

	ctx    context.Context // ends when Close has closed the sockets
	cancel context.CancelFunc

	mu       sync.Mutex
	sockets  map[*Socket]func() // → leave, of Options.Enter
	sessions map[string]*session
	closing  bool
	work     sync.WaitGroup // readers, writers, channel workers, the sweeper
}

// NewServer returns a running server. It owns one goroutine for pings and timeouts, until Close.
func NewServer(o Options) *Server {
	s := &Server{Options: o.withDefaults(), tokens: newTokens(o.Hub.Node()), sockets: make(map[*Socket]func()), sessions: make(map[string]*session)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.work.Go(s.sweep)
	return s
}

// tryGo runs f as a goroutine that Close waits for. It reports false, and runs nothing, once Close has closed the sockets.
func (s *Server) tryGo(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.work.Go(f)
	return true
}

// kindOf returns the kind of channel of a topic, or nil.
func (s *Server) kindOf(topic string) Kind {
	for i := range s.Routes {
		pattern := s.Routes[i].Pattern
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok && strings.HasPrefix(topic, prefix) || pattern == topic {
			return s.Routes[i].Kind
		}
	}
	return nil
}

// admit counts the connection of a client that may come in, before anything is opened for it.
func (s *Server) admit(r *http.Request, h *handshake, via hub.Transport) (leave func(), err error) {
	if s.isClosing() {
		return nil, errs.ErrClosed
	}
	return s.Enter(r, h.identity.User, via)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// newSocket makes the socket of an admitted client.
func (s *Server) newSocket(h *handshake, t transport, via hub.Transport) *Socket {
	sock := &Socket{server: s, id: "ses_" + ulid.Make().String(), version: h.version, transport: t, via: via}
	sock.setIdentity(h.identity)
	return sock
}

// add begins to look after a socket whose transport is ready; ses is its session, or nil. It fails with ErrClosed once Close has been called. A
// server that drains may have told all sockets already: ask isClosing.
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

// leave forgets a socket that has ended.
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

// all returns the sockets for which keep says yes, in list, which it may overwrite.
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

// WebSocket close codes (RFC 6455 §7.4.1). 1000 is never sent: older clients do not come back after it.
const (
	closeGoingAway  = 1001
	closeProtocol   = 1002
	closeUTF8       = 1007
	closeTooBig     = 1009
	closeFrame      = 1011
	closeRestarting = 1012
	closeExpired    = 4001 // the token has ended: come back with a new one
	closeRevoked    = 4003 // the token was revoked: the same
)

const restarting = "the server restarts"

// drainCloseTimeout is how long Drain waits for goodbyes to be said.
const drainCloseTimeout = 2 * time.Second

// Drain closes all sockets with code 1012, spread over the time that ctx has left, at most half a second per thousand: clients come back ten
// milliseconds after a close, all together. New ones are refused from now on. It returns when the last was told.
func (s *Server) Drain(ctx context.Context) {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	list := s.all(nil, func(*Socket) bool { return true })
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	inBatches(ctx, len(list), func(i int) { list[i].transport.close(closeRestarting, restarting) })
	// Close would take the word out of the mouths of those that have not said it yet. Some clients never answer.
	for end := time.Now().Add(drainCloseTimeout); s.closeHandshakes.Load() > 0 && ctx.Err() == nil && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}

// inBatches calls f with 0 to n-1: with a hundred, then 50 ms later with the next. Once ctx is over there are no pauses.
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

// Close ends all sockets at once and returns when every goroutine of the server has ended.
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

// sweepEvery is how often pings, timeouts and expired tokens are looked after.
const sweepEvery = time.Second

// sweep is the server's own goroutine: one clock for all sockets, because a timer for each would cost memory.
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

// burstSize is how many sockets more make a rush.
const burstSize = 1000

// burst tells when many sockets have been opened and it is quiet again.
type burst struct{ before, last int }

// isOver is asked at each tick.
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

// handshake is what a client that was let in asked for.
type handshake struct {
	identity *rights.Identity
	version  phoenix.Version
	began    time.Time
}
