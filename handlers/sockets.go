package handlers

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/middleware/auth"
)

// newSockets returns the server of Phoenix sockets.
func (s *server) newSockets() *socket.Server {
	auth := auth.NewSockets(s.Verifier, s.auth)
	return socket.NewServer(socket.Options{
		Hub: s.hub, Authorizer: s.Authorizer, Logger: s.logger, Routes: s.channels.Routes, Identify: auth.Identify,
		Refresh: s.Verifier.Verify, Revoked: s.Verifier.Revocations().Revoked,
		Enter:      s.enterAs,
		Rates:      s.rates,
		AfterBurst: debug.FreeOSMemory, // a handshake leaves three times the memory of an idle socket as garbage
		// A payload may be escaped JSON or base64, at twice its size; the rest is for the other fields.
		FrameBytes:        2*int64(s.hub.Limits().MessageBytes) + 16<<10,
		ChannelsPerSocket: s.ChannelsPerSocket,
		WriteTimeout:      s.WriteTimeout, Heartbeat: s.Heartbeat, PresenceGrace: s.PresenceGrace,
	})
}

// webSocket answers GET /socket/websocket.
func (s *server) webSocket(w http.ResponseWriter, r *http.Request) {
	s.sockets.WebSocket(w, r, s.refuseSocket)
}

// refuseSocket answers a refused socket. Authentication errors get 403, as with Phoenix; clients handle them alike.
func (s *server) refuseSocket(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errs.ErrUnauthenticated) || errors.Is(err, errs.ErrInvalid) {
		err = fmt.Errorf("%v: %w", err, errs.ErrForbidden)
	}
	if errors.Is(err, socket.ErrUpgrade) {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
	}
	s.WriteError(w, r, err)
}

// socketBody is the maximum size of a POST for a socket. It may have one message that is too large and is refused as such
// on the socket, as on a WebSocket.
func (s *server) socketBody() int64 { return max(s.BodyBytes, s.sockets.HardBytes()) }

// longPoll answers /socket/longpoll. Pages of any origin may read the answers, because they authenticate with a token
// and not with a cookie.
func (s *server) longPoll(w http.ResponseWriter, r *http.Request) {
	if w.Header().Get("Access-Control-Allow-Origin") == "" {
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}
	if isHead(r) {
		writeHead(w, "application/json; charset=utf-8")
		return
	}
	plain, err := s.decodeBody(r, s.socketBody())
	if err != nil {
		s.WriteError(w, r, err)
		return
	}
	if s.relay(w, plain, socket.PollToken(plain)) {
		return
	}
	s.sockets.LongPoll(w, plain)
}

// sseSocket answers GET /socket/sse with the socket's frames as blocks (openapi.yaml: followSocket).
func (s *server) sseSocket(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	after, err := frameNumber(r)
	if err != nil {
		return err
	}
	opts, err := s.parseLive(q)
	if err != nil {
		return err
	}
	if isHead(r) {
		if err := s.sockets.CheckSSE(r, q.Get("session")); err != nil && !errors.Is(err, socket.ErrSession) {
			s.refuseSocket(w, r, err)
			return nil
		}
		live.Start(w, live.MediaSSE)
		return nil
	}
	opts.WriteTimeout = s.WriteTimeout
	p := live.New(w, r, s.hub, &s.writers, opts)
	down, err := s.sockets.OpenSSE(r, q.Get("session"), after, p)
	if errors.Is(err, socket.ErrSession) {
		live.Start(w, live.MediaSSE)
		_, _ = w.Write(sse.AppendBye(nil, "session", 0)) // fails only if the client is gone
		return nil
	}
	if err != nil {
		s.refuseSocket(w, r, err)
		return nil
	}
	defer down.Close()
	defer p.EndOnDrain()()
	live.Start(w, live.MediaSSE)
	hello := socketHello(down, opts, q.Get("session") != "", after)
	finishPump(p.Run(r.Context(), &socketFeed{down: down, first: hello}))
	return nil
}

// frameNumber parses the number of the last frame that a client has received.
func frameNumber(r *http.Request) (uint64, error) {
	from := resumeFrom(r)
	if from.text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(from.text, 10, 64)
	if err != nil {
		return 0, from.refuse("must be the id of the last frame that was received; got %q", clip(from.text))
	}
	return n, nil
}

// socketHello encodes the greeting. resumed says that the session is the client's earlier one. A client that has the
// number of a frame of another session, whose token it does not give, is told that it missed the rest of that session.
func socketHello(down *socket.SSEConn, opts live.Options, resumed bool, after uint64) []byte {
	var b []byte
	if opts.Pad > 0 {
		b = sse.AppendPad(b, opts.Pad)
	}
	recovered := resumed || after == 0
	if !resumed {
		after = 0
	}
	data := append(jsonw.AppendString([]byte(`{"session":`), down.Token()), `,"recovered":`...)
	data = append(strconv.AppendBool(data, recovered), `,"frame":`...)
	data = strconv.AppendUint(data, after, 10)
	data = append(data, `,"now":`...)
	data = strconv.AppendInt(data, time.Now().UnixMilli(), 10)
	data = append(data, `,"hb":`...)
	data = append(strconv.AppendInt(data, int64(opts.Heartbeat/time.Second), 10), '}')
	return sse.AppendBlock(b, "hello", data, "")
}

// socketFeed encodes a socket's frames as blocks: the frame is the data, its number the id.
type socketFeed struct {
	down  *socket.SSEConn
	first []byte
}

func (f *socketFeed) Next(dst []byte) ([]byte, live.Chunk, bool) {
	if f.first != nil {
		dst, f.first = append(dst, f.first...), nil
	}
	end := f.down.Next(time.Now(), func(number uint64, payload []byte) {
		dst = append(dst, "data: "...)
		dst = append(dst, payload...)
		dst = append(dst, "\nid: "...)
		dst = strconv.AppendUint(dst, number, 10)
		dst = append(dst, "\n\n"...)
	})
	if end {
		dst = sse.AppendBye(dst, f.down.Reason(), 0)
	}
	return dst, nil, end
}

func (f *socketFeed) Heartbeat(dst []byte, now time.Time) []byte {
	return sse.AppendHeartbeat(dst, now)
}

func (f *socketFeed) Bye(dst []byte, reason string, retry time.Duration) []byte {
	return sse.AppendBye(dst, reason, retry)
}

// sseSocketPost answers POST /socket/sse, which receives a client's messages in the format of long-poll.
func (s *server) sseSocketPost(w http.ResponseWriter, r *http.Request) error {
	r, err := s.decodeBody(r, s.socketBody())
	if err != nil {
		return err
	}
	if s.relay(w, r, r.URL.Query().Get("session")) {
		return nil
	}
	status := http.StatusOK
	if err := s.sockets.Receive(r, r.URL.Query().Get("session")); err != nil {
		switch {
		case errors.Is(err, socket.ErrSession):
			status = http.StatusGone
		case errors.Is(err, errs.ErrTooLarge):
			status = http.StatusRequestEntityTooLarge
		case errors.Is(err, errs.ErrInvalid):
			return err
		default:
			status = http.StatusInternalServerError
		}
	}
	body, _ := json.Marshal(map[string]int{"status": status}) // a number always encodes
	w.Header().Set("Cache-Control", "no-store")
	answer(w, http.StatusOK, mediaJSON, body)
	return nil
}
