package socket

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash/maphash"
	"io"
	"iter"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// tokens makes and checks the tokens of sessions whose clients come and go: NAME.COUNT.MAC, and .NODE behind that where there are several. The bearer
// of a token is the session.
type tokens struct {
	key  [32]byte
	node string // "": there is one
}

func newTokens(node string) *tokens {
	t := &tokens{node: node}
	_, _ = rand.Read(t.key[:]) // never fails (crypto/rand)
	return t
}

// make returns the token of a session that has been answered count times.
func (t *tokens) make(name string, count uint64) string {
	body := name + "." + strconv.FormatUint(count, 36)
	token := body + "." + t.mac(body)
	if t.node != "" {
		token += "." + t.node
	}
	return token
}

// tokenParts is how many parts the token of a session has that names its node.
const tokenParts = 4

// NodeOf returns the node that a session's token names, or "". Whether it is such a token at all is for that node to say.
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

// parse reads a token of ours. ok is false for anything else, such as a token of the application under the same name.
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

// session is the transport of a client that comes and goes. It has a socket for as long as its client comes back in time.
type session struct {
	server    *Server
	socket    *Socket
	idleLimit time.Duration // without the client

	postBytes   atomic.Int64  // bytes of POSTs that are being read, or wait
	receiving   chan struct{} // one POST at a time is received: the order of messages is theirs
	recentPosts [8]post       // the last ones, newest first; whose turn it is uses them
	ended       chan struct{} // closed when it is over
	closeCode   atomic.Int32  // that it was closed with, as a WebSocket would be; 0: none

	mu      sync.Mutex
	reader  log.Waker // of the request that reads; a newer one takes its place
	readers int       // requests that read now: 0 or 1, and those that are being replaced
	seen    time.Time // when the last one began or ended
	over    bool

	reading sync.Mutex // guards what is read: Socket.next, and the two below
	poll    pollState
	sse     sseState
}

// errSession means that a session's client came too late, or that the session was closed: it must begin anew.
var errSession = errors.New("the session is over; connect anew")

// openSession opens a session for a client that was let in.
func (s *Server) openSession(r *http.Request, h *handshake, via hub.Transport, life time.Duration) (*session, error) {
	ses := &session{server: s, idleLimit: life, seen: time.Now(), receiving: make(chan struct{}, 1), ended: make(chan struct{})}
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
		return nil, errs.ErrClosed // the next handshake tells whether it may
	}
	return ses, nil
}

// session returns the live session of that name, or nil.
func (s *Server) session(name string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[name]
}

// belongs reports whether a request may use the session: its token says so, and if it names a user besides, then the same one.
func (ses *session) belongs(r *http.Request, authToken string) bool {
	id, err := ses.server.Identify(r, authToken)
	return err != nil || id.User == ses.socket.identity().User
}

// attach makes w's request the one that reads from the session, and wakes the one that did until now. ok is false where the session is over.
func (ses *session) attach(w log.Waker) (ok bool) {
	ses.mu.Lock()
	if ses.over {
		ses.mu.Unlock()
		return false
	}
	before := ses.reader
	ses.reader = w
	ses.readers++
	ses.seen = time.Now()
	ses.mu.Unlock()
	if before != nil {
		before.Signal()
	}
	return true
}

// isReader reports whether w's request is still the one that reads.
func (ses *session) isReader(w log.Waker) bool {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	return ses.reader == w && !ses.over
}

// detach ends what take began.
func (ses *session) detach(w log.Waker) {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	ses.readers--
	ses.seen = time.Now()
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

// close implements transport: the client is told by the next answer, whatever the code.
func (ses *session) close(code int, _ string) bool {
	ses.closeCode.CompareAndSwap(0, int32(code))
	return ses.finish(endBroken)
}

func (ses *session) abort() { ses.finish(endBroken) }

// tick ends a session whose client has not come back in time.
func (ses *session) tick(now time.Time) {
	ses.mu.Lock()
	late := ses.readers == 0 && now.Sub(ses.seen) >= ses.idleLimit
	ses.mu.Unlock()
	if late {
		ses.finish(endBroken)
	}
}

// finish ends the session, and reports whether it had not ended before.
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

// The bodies of one session's POSTs that are under way may hold so much memory, in bytes. Newer clients send one at a time; those up to 1.6 one for
// each message, however many there are. A body of unknown length counts as unknownBody.
const (
	maxPosted    = 16 << 20
	unknownBody  = 4 << 20
	postOverhead = 4 << 10 // that a POST takes beside its body
)

var errPosts = errors.New("the session has too much under way in POSTs; send one at a time")

// receive takes the body of a POST: lines of application/x-ndjson, of which one that begins with [ or { is a text frame and any other a binary
// frame in base64; of any other media type one text frame. A frame that is no message ends the session.
func (ses *session) receive(r *http.Request) error {
	size := r.ContentLength + postOverhead
	if r.ContentLength < 0 {
		size = unknownBody
	}
	defer ses.postBytes.Add(-size)
	if now := ses.postBytes.Add(size); now > maxPosted && now > size { // one alone may be as large as any request
		return errPosts
	}
	body, err := io.ReadAll(r.Body)
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
	lines := bytes.Lines(body)
	if media != "application/x-ndjson" {
		lines = slices.Values([][]byte{body})
	}
	err = ses.receiveLines(r.Context(), lines, ses.postOf(body))
	if err != nil && r.Context().Err() == nil {
		ses.finish(endBroken)
	}
	return err
}

// post is one that was received, as far as it was. A browser whose connection breaks may send a POST again by itself, and nobody is told: a join
// that came twice would end its own channel. So what has come is passed over. Messages differ in their refs.
type post struct {
	hash  uint64
	lines int // that were received
}

var postSeed = maphash.MakeSeed()

// postOf returns the account of a POST: that of an earlier one, where it is the same word for word as one of the last.
func (ses *session) postOf(body []byte) *post {
	hash := maphash.Bytes(postSeed, body)
	for i := range ses.recentPosts {
		if ses.recentPosts[i].hash == hash {
			return &ses.recentPosts[i]
		}
	}
	copy(ses.recentPosts[1:], ses.recentPosts[:])
	ses.recentPosts[0] = post{hash: hash}
	return &ses.recentPosts[0]
}

func (ses *session) receiveLines(ctx context.Context, lines iter.Seq[[]byte], p *post) error {
	n := 0
	for line := range lines {
		n++
		if n <= p.lines && repeats(line) {
			continue
		}
		if err := ses.receiveLine(ctx, bytes.TrimRight(line, "\r\n")); err != nil {
			return err
		}
		p.lines = max(p.lines, n)
	}
	return nil
}

// repeats reports whether a message that comes again is the same one. Those without both refs may well look alike: heartbeats, and events for
// which nobody wants a reply.
func repeats(line []byte) bool {
	if bytes.HasPrefix(line, []byte("{")) {
		return false
	}
	joinRef, rest, _ := bytes.Cut(line, []byte(","))
	ref, _, isText := bytes.Cut(rest, []byte(","))
	return !isText || !bytes.Contains(joinRef, []byte("null")) && !bytes.Contains(ref, []byte("null"))
}

func (ses *session) receiveLine(ctx context.Context, line []byte) error {
	switch {
	case len(line) == 0:
		return nil
	case line[0] == '[' || line[0] == '{':
		return ses.socket.Receive(ctx, bytes.Clone(line), false) // a message may stay for longer than the body
	}
	line = bytes.TrimRight(line, "=")
	frame := make([]byte, base64.RawStdEncoding.DecodedLen(len(line)))
	if _, err := base64.RawStdEncoding.Decode(frame, line); err != nil {
		return err
	}
	return ses.socket.Receive(ctx, frame, true)
}
