package handlers

import (
	"net/http"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// messageBody is one message in POST /v1/users/{user}/messages.
type messageBody struct {
	payloadBody
	ID    string `json:"id"`
	Topic string `json:"topic"`
	Event string `json:"event"`
}

// queuedView is the result for one message.
type queuedView struct {
	ID       string `json:"id"`
	Position string `json:"position"`
}

// enqueueMessages enqueues one message or a batch for a user, all or none. The messages are on disk before it answers.
func (s *server) enqueueMessages(w http.ResponseWriter, r *http.Request) error {
	user, err := userParam(r)
	if err != nil {
		return err
	}
	id := auth.IdentityFrom(r.Context())
	if err := s.Authorizer.Authorize(r.Context(), id, hub.UserTopic(user), rights.ActionQueue); err != nil {
		return err
	}
	bodies, err := readBatch[messageBody](s, r, "messages")
	if err != nil {
		return err
	}
	messages := make([]hub.MessageInput, len(bodies))
	for i := range bodies {
		b := &bodies[i]
		messages[i] = hub.MessageInput{User: user, ID: b.ID, Topic: b.Topic, Event: b.Event, Payload: b.Payload}
		if messages[i].Bytes, err = b.read(); err != nil {
			return err
		}
	}
	if err := s.takeRate(r, ratelimit.Queue, len(messages)); err != nil {
		return err
	}
	queued, err := s.hub.Enqueue(id.User, messages)
	if err != nil {
		return err
	}
	views := make([]queuedView, len(queued))
	for i, q := range queued {
		views[i] = queuedView{q.ID, q.Position.String()}
	}
	writeJSON(w, http.StatusCreated, map[string]any{"messages": views})
	return nil
}

// queueOwner returns the user in the path, if the client may read and acknowledge the user's queue: its own, or any as
// an admin. The right to enqueue messages does not suffice.
func (s *server) queueOwner(r *http.Request) (string, error) {
	user, err := userParam(r)
	if err != nil {
		return "", err
	}
	id := auth.IdentityFrom(r.Context())
	if user == id.User {
		return user, nil
	}
	return user, s.Authorizer.Authorize(r.Context(), id, hub.UserTopic(user), rights.ActionAdmin)
}

// ackBody is the body of POST /v1/users/{user}/messages/ack.
type ackBody struct {
	Through string `json:"through"`
}

// ackMessages acknowledges all messages up to a position.
func (s *server) ackMessages(w http.ResponseWriter, r *http.Request) error {
	user, err := s.queueOwner(r)
	if err != nil {
		return err
	}
	var body ackBody
	if err := s.readJSON(r, &body); err != nil {
		return err
	}
	through, err := socket.QueuePosition("through", body.Through)
	if err != nil {
		return err
	}
	if err := s.hub.AckMessages(user, through); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, ackBody{through.String()})
	return nil
}

// queueFrom returns the position to read a queue from; the default is the oldest message.
func queueFrom(r *http.Request) (p log.Position, err error) {
	from := resumeFrom(r)
	if from.text == "" {
		return p, nil
	}
	return socket.QueuePosition(from.field, from.text)
}

// getMessages answers GET /v1/users/{user}/messages: SSE, or a page as JSON.
func (s *server) getMessages(w http.ResponseWriter, r *http.Request) error {
	user, err := s.queueOwner(r)
	if err != nil {
		return err
	}
	media, err := liveOrJSON(r, "messages")
	if err != nil {
		return err
	}
	if media == live.MediaSSE {
		return s.followQueue(w, r, user)
	}
	return s.readQueue(w, r, user)
}
