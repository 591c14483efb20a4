package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub/errs"
)

// A socket whose client comes and goes (long-poll, SSE with POST) lives on one node. A load balancer without sticky sessions sends its requests to
// any: they are then handed on, through what the nodes share.

// relayed is a request on its way to another node.
type relayed struct {
	Method, URI, Host, Remote string
	Header                    http.Header
	Body                      []byte
}

// relayedAnswer is what came of it.
type relayedAnswer struct {
	Status int
	Header http.Header
	Body   []byte
}

// headerRelayed marks a request that was handed on: it is not handed on again.
const headerRelayed = "Duckwire-Relayed"

// relayTimeout is how long a node may take to answer what is handed on: longer than a long-poll waits.
const relayTimeout = 30 * time.Second

// relay hands a request on to the node that a session's token names. It reports false where that is this one, or one that cannot be asked: then the
// session is over.
func (s *server) relay(w http.ResponseWriter, r *http.Request, token string) bool {
	node := socket.NodeOf(token)
	if node == "" || r.Header.Get(headerRelayed) != "" || !s.hub.NodeLives(node) {
		return false
	}
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.As(err, &tooLarge) {
		return true // the client has gone
	} else if err != nil {
		s.WriteError(w, r, err)
		return true
	}
	req := relayed{Method: r.Method, URI: r.URL.RequestURI(), Host: r.Host, Remote: r.RemoteAddr, Header: r.Header.Clone(), Body: body}
	req.Header.Set(headerRelayed, s.hub.Node())
	raw, err := json.Marshal(&req)
	if err != nil {
		s.WriteError(w, r, err)
		return true
	}
	ctx, cancel := context.WithTimeout(r.Context(), relayTimeout)
	defer cancel()
	var answer relayedAnswer
	if raw, err = s.hub.Call(ctx, node, callRelay, raw); err == nil {
		err = json.Unmarshal(raw, &answer)
	}
	if errors.Is(err, errs.ErrUnavailable) {
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
	_, _ = w.Write(answer.Body) // one that gets lost is asked for again
	return true
}

// answerRelay does what another node has handed on.
func (s *server) answerRelay(body []byte) ([]byte, error) {
	var req relayed
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), relayTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, req.Method, req.URI, bytes.NewReader(req.Body))
	if err != nil {
		return nil, errs.Invalid("uri", "nodes of different versions? %v", err)
	}
	r.Header, r.Host, r.RemoteAddr, r.RequestURI = req.Header, req.Host, req.Remote, req.URI
	w := &keptAnswer{relayedAnswer{Status: http.StatusOK, Header: make(http.Header)}}
	s.whole.ServeHTTP(w, r)
	return json.Marshal(&w.answer)
}

// keptAnswer is a ResponseWriter that keeps what is written.
type keptAnswer struct{ answer relayedAnswer }

func (k *keptAnswer) Header() http.Header { return k.answer.Header }

func (k *keptAnswer) WriteHeader(status int) { k.answer.Status = status }

func (k *keptAnswer) Write(b []byte) (int, error) {
	k.answer.Body = append(k.answer.Body, b...)
	return len(b), nil
}
