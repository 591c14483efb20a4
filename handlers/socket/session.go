package socket

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash/maphash"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// tokens makes and verifies the tokens of sessions that outlive a connection: NAME.COUNT.MAC, followed by .NODE if
// there are several nodes. The token identifies and authorizes the session.
type tokens struct {
	key  [32]byte
	node string // "": there is one node
}

func newTokens(node string) *tokens {
	t := &tokens{node: node}
	_, _ = rand.Read(t.key[:]) // never fails (crypto/rand)
	return t
}

// make returns the token of a session that has sent count answers.
func (t *tokens) make(name string, count uint64) string {
	body := name + "." + strconv.FormatUint(count, 36)
	token := body + "." + t.mac(body)
	if t.node != "" {
		token += "." + t.node
	}
	return token
}

// tokenParts is the number of parts of a token that names its node.
const tokenParts = 4

// NodeOf returns the node that a session's token names, or "". It does not verify the token; only that node can.
func NodeOf(token string) string {
	if parts := strings.Split(token, "."); len(parts) == tokenParts {
		return parts[tokenParts-1]
	}
	return ""
}

func (t *tokens) mac(body string) string {
	h := hmac.New(sha256.New, t.key[:])
	h.Write([]byte(body))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// parse verifies a token that this server made. ok is false for anything else, such as a token of the application under
// the same name.
func (t *tokens) parse(token string) (name string, count uint64, ok bool) {
	if t.node != "" {
		token = strings.TrimSuffix(token, "."+t.node)
	}
	i := strings.LastIndexByte(token, '.')
	if i < 0 || !hmac.Equal([]byte(t.mac(token[:i])), []byte(token[i+1:])) {
		return "", 0, false
	}
	name, digits, ok := strings.Cut(token[:i], ".")
	if !ok {
		return "", 0, false
	}
	count, err := strconv.ParseUint(digits, 36, 64)
	return name, count, err == nil
}

// session is the transport of a client without a lasting connection. Its socket lasts as long as the client returns in
// time.
type session struct {
	server    *Server
	socket    *Socket
	idleLimit time.Duration // how long the session lasts without the client

	postBytes   atomic.Int64  // bytes of POSTs under way
	receiving   chan struct{} // a semaphore: POSTs are received one at a time, which preserves the order of messages
	recentPosts [8]post       // newest first; guarded by receiving
	ended       chan struct{} // closed when the session ends
	closeCode   atomic.Int32  // the code that a WebSocket would have been closed with; 0: none

	mu       sync.Mutex
	reader   log.Waker     // waker of the request that reads; a newer request replaces it
	readers  int           // requests that read now: at most one, and those that are being replaced
	lastUsed time.Time     // when the last of them began or ended
	reads    time.Duration // how long the client may then take to read the last answer
	over     bool

	reading sync.Mutex // guards Socket.next, poll and sse
	poll    pollState
	sse     sseState
}

// errSession means that a session has expired or was closed: the client must connect anew.
var errSession = errors.New("the session is over; connect anew")

// openSession opens a session for an identified client.
func (s *Server) openSession(r *http.Request, h *handshake, via hub.Transport, life time.Duration) (*session, error) {
	ses := &session{
		server: s, idleLimit: life, lastUsed: time.Now(),
		receiving: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	leave, err := s.admit(r, h, via)
	if err != nil {
		return nil, err
	}
	ses.socket = s.newSocket(h, ses, via)
	if err = s.add(ses.socket, ses, leave); err != nil {
		return nil, err
	}
	if code, _ := s.endedMeanwhile(h); code != 0 {
		ses.finish(endBroken)
		return nil, errs.ErrClosed // the next handshake tells the client whether it is refused
	}
	return ses, nil
}

// session returns the live session of a name, or nil.
func (s *Server) session(name string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[name]
}

// belongs reports whether a request may use the session whose token it has. If it also has credentials of a user, they
// must be the session's user's.
func (ses *session) belongs(r *http.Request, authToken string) bool {
	id, err := ses.server.Identify(r, authToken)
	return err != nil || id.User == ses.socket.identity().User
}

// attach makes w's request the session's reader, and wakes the previous one. ok is false if the session is over.
func (ses *session) attach(w log.Waker) (ok bool) {
	ses.mu.Lock()
	if ses.over {
		ses.mu.Unlock()
		return false
	}
	before := ses.reader
	ses.reader = w
	ses.readers++
	ses.lastUsed, ses.reads = time.Now(), 0
	ses.mu.Unlock()
	if before != nil {
		before.Signal()
	}
	return true
}

// isReader reports whether w's request is still the session's reader.
func (ses *session) isReader(w log.Waker) bool {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	return ses.reader == w && !ses.over
}

// detach ends a request's reading that attach began.
func (ses *session) detach(w log.Waker) {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	ses.readers--
	ses.lastUsed = time.Now()
	if ses.reader == w {
		ses.reader = nil
	}
}

// notify implements transport.
func (ses *session) notify() {
	ses.mu.Lock()
	w := ses.reader
	ses.mu.Unlock()
	if w != nil {
		w.Signal()
	}
}

// close implements transport. The next answer tells the client, whatever the code.
func (ses *session) close(code int, _ string) bool {
	ses.closeCode.CompareAndSwap(0, int32(code))
	return ses.finish(endBroken)
}

func (ses *session) abort() { ses.finish(endBroken) }

// tick ends a session whose client has not returned in time.
func (ses *session) tick(now time.Time) {
	if ses.isLate(now) {
		ses.finish(endBroken)
	}
}

func (ses *session) isLate(now time.Time) bool {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	return ses.readers == 0 && now.Sub(ses.lastUsed) >= ses.idleLimit+ses.reads
}

// slowLink is the rate, in bytes per second, at which a slow client takes a long answer. Nobody sees how much of an answer
// has arrived, because the kernel and proxies take it at once.
const slowLink = 4 << 10

// sends notes that the client gets an answer of n bytes, and returns only when it has read that.
func (ses *session) sends(n int) {
	ses.mu.Lock()
	ses.reads = time.Duration(n) * time.Second / slowLink
	ses.mu.Unlock()
}

// finish ends the session. It returns false if it had ended before.
func (ses *session) finish(how ending) bool {
	ses.mu.Lock()
	if ses.over {
		ses.mu.Unlock()
		return false
	}
	ses.over = true
	close(ses.ended)
	ses.mu.Unlock()
	ses.notify()
	ses.socket.end(how)
	return true
}

func (ses *session) isOver() bool {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	return ses.over
}

// maxPosted is the maximum memory for the bodies of one session's concurrent POSTs. Clients up to 1.6 send one POST for
// each message, without a limit; newer ones send one at a time. At most heldBody of a body is held before it is its turn;
// the rest is received line by line, as it arrives. A body of unknown length counts as unknownBody.
const (
	maxPosted    = 16 << 20
	heldBody     = 8 << 20
	unknownBody  = 4 << 20
	postOverhead = 4 << 10 // memory of a POST besides its body
)

var errPosts = errors.New("the session has too much under way in POSTs; send one at a time")

// receive receives the body of a POST. In application/x-ndjson, each line is a message, and in any other media type the
// whole body is one. An error of a message ends the session, one of the body does not.
func (ses *session) receive(r *http.Request) error {
	size := min(r.ContentLength, heldBody) + postOverhead
	if r.ContentLength < 0 {
		size = unknownBody
	}
	defer ses.postBytes.Add(-size)
	if now := ses.postBytes.Add(size); now > maxPosted && now > size { // a single one may be as large as any request
		return errPosts
	}
	held, err := io.ReadAll(io.LimitReader(r.Body, heldBody))
	if err != nil {
		return err
	}
	select {
	case ses.receiving <- struct{}{}:
		defer func() { <-ses.receiving }()
	case <-ses.ended:
		return errSession
	case <-r.Context().Done():
		return r.Context().Err()
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	lines := &lineReader{
		r: bufio.NewReader(io.MultiReader(bytes.NewReader(held), r.Body)), most: int(ses.server.FrameBytes),
		single: media != "application/x-ndjson",
	}
	return ses.receiveLines(r.Context(), lines, ses.postOf(held))
}

// post records how much of a POST was received. A browser may resend a POST after a lost connection, unnoticed by the
// client, and a join that arrived twice would end its own channel. So lines that were received already are skipped.
// Different messages have different refs.
type post struct {
	hash  uint64
	lines int // number of lines received
}

var postSeed = maphash.MakeSeed()

// postOf returns the record of a POST: that of a recent one with the same body, as far as it is held, or a new one.
func (ses *session) postOf(held []byte) *post {
	hash := maphash.Bytes(postSeed, held)
	for i := range ses.recentPosts {
		if ses.recentPosts[i].hash == hash {
			return &ses.recentPosts[i]
		}
	}
	copy(ses.recentPosts[1:], ses.recentPosts[:])
	ses.recentPosts[0] = post{hash: hash}
	return &ses.recentPosts[0]
}

func (ses *session) receiveLines(ctx context.Context, lines *lineReader, p *post) error {
	for n := 1; ; n++ {
		line, whole, err := lines.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if n <= p.lines && repeats(line) {
			continue
		}
		if err := ses.receiveLine(ctx, line, whole); err != nil {
			if ctx.Err() == nil {
				ses.finish(endBroken)
			}
			return err
		}
		p.lines = max(p.lines, n)
	}
}

// repeats reports whether an equal line is the same message sent again. Messages without both refs may be equal without
// being resent: heartbeats, and events without a reply.
func repeats(line []byte) bool {
	if bytes.HasPrefix(line, []byte("{")) {
		return false
	}
	joinRef, rest, _ := bytes.Cut(line, []byte(","))
	ref, _, isText := bytes.Cut(rest, []byte(","))
	return !isText || !bytes.Contains(joinRef, []byte("null")) && !bytes.Contains(ref, []byte("null"))
}

// receiveLine receives one message: a text frame, which begins with [ or {, or else a binary frame in base64.
func (ses *session) receiveLine(ctx context.Context, line []byte, whole bool) error {
	line = bytes.TrimSpace(line)
	switch {
	case len(line) == 0:
		return nil
	case line[0] == '[' || line[0] == '{':
		return ses.socket.Receive(ctx, line, false, whole)
	}
	frame := make([]byte, base64.RawStdEncoding.DecodedLen(len(line)))
	n, err := base64.RawStdEncoding.Decode(frame, bytes.TrimRight(line, "="))
	if err != nil && whole {
		return ses.socket.Receive(ctx, line, false, true) // as a text frame it is garbage, too
	}
	return ses.socket.Receive(ctx, frame[:n], true, whole)
}
