package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub/errs"
)

// A session without a lasting connection (long-poll, SSE with POST) lives on one node. A load balancer without sticky
// sessions sends its requests to any node; that node relays them through the store that the nodes share.

// relayedRequest is a request on its way to another node: a line of JSON, followed by the body.
type relayedRequest struct {
	Method, URI, Host, Remote string
	Header                    http.Header
	Body                      []byte `json:"-"`
}

// relayedAnswer is its answer, in the same encoding.
type relayedAnswer struct {
	Status int
	Header http.Header
	Body   []byte `json:"-"`
}

// withBody encodes a request or an answer with its body.
func withBody(head any, body []byte) ([]byte, error) {
	raw, err := json.Marshal(head) // contains no line feed
	if err != nil {
		return nil, err
	}
	return append(append(raw, '\n'), body...), nil
}

// splitBody decodes the result of withBody.
func splitBody(raw []byte, head any) (body []byte, err error) {
	line, body, _ := bytes.Cut(raw, []byte{'\n'})
	return body, json.Unmarshal(line, head)
}

// relayBytes is the maximum size of the bodies being relayed at one time. A single request may exceed it.
const relayBytes = 64 << 20

// relayBuffer counts the bytes of bodies being relayed.
type relayBuffer struct{ used atomic.Int64 }

// enter reserves the size of a request's body, at most most, until leave is called.
func (room *relayBuffer) enter(r *http.Request, most int64) (leave func(), err error) {
	n := r.ContentLength
	if n < 0 {
		n = most
	}
	if n = min(n, most); room.used.Add(n) > max(relayBytes, n) {
		room.used.Add(-n)
		const name = "bytes on their way to other nodes"
		return nil, &errs.LimitError{Kind: errs.ErrUnavailable, Name: name, Limit: relayBytes, Retry: time.Second}
	}
	return func() { room.used.Add(-n) }, nil
}

// headerRelayed marks a relayed request, which is not relayed again.
const headerRelayed = "Duckwire-Relayed"

// relayTimeout is how long a node may take to answer a relayed request: longer than a long-poll waits.
const relayTimeout = 30 * time.Second

// relay relays a request to the node that a session's token names. It returns false if that is this node, or a node
// that is unavailable or does not know the token; then the session is over. No body is read or relayed before the token
// was verified.
func (s *server) relay(w http.ResponseWriter, r *http.Request, token string) bool {
	node := socket.NodeOf(token)
	if node == "" || node == s.hub.Node() || r.Header.Get(headerRelayed) != "" {
		return false
	}
	ctx, cancel := context.WithTimeout(r.Context(), relayTimeout)
	defer cancel()
	if known, err := s.hub.Cluster().Call(ctx, node, callKnown, []byte(token)); err != nil || string(known) != tokenKnown {
		return false
	}
	leave, err := s.relaying.enter(r, s.socketBody())
	if err != nil {
		s.WriteError(w, r, err)
		return true
	}
	defer leave()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		if isRefused(err) { // else the client is gone
			s.WriteError(w, r, err)
		}
		return true
	}
	answer, err := s.askRelay(ctx, node, r, body)
	// Only a POST gets the error of a full buffer: polling clients do not handle it.
	full := r.Method == http.MethodPost && errors.As(err, new(*errs.LimitError))
	if errors.Is(err, errs.ErrUnavailable) && !full {
		r.Body = io.NopCloser(bytes.NewReader(body))
		return false
	}
	if err != nil {
		s.WriteError(w, r, err)
		return true
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Status)
	_, _ = steady(w).Write(answer.Body) // the client repeats the request if this fails
	return true
}

// askRelay sends a request to another node, and returns its answer.
func (s *server) askRelay(ctx context.Context, node string, r *http.Request, body []byte) (relayedAnswer, error) {
	var answer relayedAnswer
	req := relayedRequest{
		Method: r.Method, URI: r.URL.RequestURI(), Host: r.Host, Remote: r.RemoteAddr, Header: r.Header.Clone(),
	}
	req.Header.Set(headerRelayed, s.hub.Node())
	raw, err := withBody(&req, body)
	if err != nil {
		return answer, err
	}
	if raw, err = s.hub.Cluster().Call(ctx, node, callRelay, raw); err != nil {
		return answer, err
	}
	answer.Body, err = splitBody(raw, &answer)
	return answer, err
}

// tokenKnown is the answer to callKnown for a token that this node made. Its session may be over; that is checked when
// the token is used.
const tokenKnown = "yes"

func (s *server) answerKnown(token []byte) ([]byte, error) {
	if s.sockets.Knows(string(token)) {
		return []byte(tokenKnown), nil
	}
	return []byte("no"), nil
}

// answerRelay serves a request that another node relayed.
func (s *server) answerRelay(raw []byte) ([]byte, error) {
	var req relayedRequest
	body, err := splitBody(raw, &req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), relayTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, req.Method, req.URI, bytes.NewReader(body))
	if err != nil {
		return nil, errs.Invalid("uri", "nodes of different versions? %v", err)
	}
	r.Header, r.Host, r.RemoteAddr, r.RequestURI = req.Header, req.Host, req.Remote, req.URI
	w := &answerRecorder{relayedAnswer{Status: http.StatusOK, Header: make(http.Header)}}
	s.handler.ServeHTTP(w, r)
	return withBody(&w.answer, w.answer.Body)
}

// answerRecorder is a ResponseWriter that records the response.
type answerRecorder struct{ answer relayedAnswer }

func (k *answerRecorder) Header() http.Header { return k.answer.Header }

func (k *answerRecorder) WriteHeader(status int) { k.answer.Status = status }

func (k *answerRecorder) Write(b []byte) (int, error) {
	k.answer.Body = append(k.answer.Body, b...)
	return len(b), nil
}
