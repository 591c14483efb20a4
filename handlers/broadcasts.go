package handlers

import (
	"encoding/json"
	"mime"
	"net/http"
	"strconv"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
)

// The paths to which Supabase's client sends broadcasts over HTTP (github.com/supabase/realtime,
// lib/realtime_web/controllers/broadcast_controller.ex). Its topics are ours without "realtime:".

// broadcastBody is one broadcast in POST /api/broadcast. Private and ID are ignored: every topic needs rights, and
// every event has an id here.
type broadcastBody struct {
	Topic   string          `json:"topic"`
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload"`
	Private bool            `json:"private"`
	ID      string          `json:"id"`
}

// broadcast publishes several broadcasts: none, if one of them is not valid or not allowed.
func (s *server) broadcast(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Messages []broadcastBody `json:"messages"`
	}
	if err := s.readJSON(r, &body); err != nil {
		return err
	}
	topics, events := make([]string, len(body.Messages)), make([]hub.EventInput, len(body.Messages))
	for i := range body.Messages {
		b := &body.Messages[i]
		field := "messages[" + strconv.Itoa(i) + "]."
		switch {
		case b.Event == "":
			return errs.Invalid(field+"event", "must be the name of the broadcast")
		case b.Payload == nil:
			return errs.Invalid(field+"payload", "is missing")
		}
		topics[i] = realtimePrefix + b.Topic
		events[i] = broadcastEvent(b.Event, b.Payload, nil)
	}
	return s.publishBroadcasts(w, r, topics, events)
}

// broadcastOne publishes one broadcast: JSON, or bytes as application/octet-stream.
func (s *server) broadcastOne(w http.ResponseWriter, r *http.Request) error {
	topic, err := pathParam(r, "topic")
	if err != nil {
		return err
	}
	event, err := pathParam(r, "event")
	if err != nil {
		return err
	}
	var ev hub.EventInput
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == "application/octet-stream" {
		raw, err := s.readBytes(r)
		if err != nil {
			return err
		}
		ev = broadcastEvent(event, nil, raw)
	} else {
		raw, err := s.readBody(r)
		if err != nil {
			return err
		}
		if !json.Valid(raw) {
			return errs.Invalid("body", "is not valid JSON; bytes are sent as application/octet-stream")
		}
		ev = broadcastEvent(event, raw, nil)
	}
	return s.publishBroadcasts(w, r, []string{realtimePrefix + topic}, []hub.EventInput{ev})
}

const realtimePrefix = "realtime:"

func broadcastEvent(event string, payload, bytes []byte) hub.EventInput {
	return hub.EventInput{
		Event: phoenix.EventBroadcast, Payload: phoenix.AppendUserBroadcast(nil, event, payload, bytes),
	}
}

// publishBroadcasts publishes each event on its topic, and answers 202.
func (s *server) publishBroadcasts(
	w http.ResponseWriter, r *http.Request, topics []string, events []hub.EventInput,
) error {
	id := auth.IdentityFrom(r.Context())
	if err := s.hub.CheckEvents(events); err != nil {
		return err
	}
	for _, topic := range topics {
		if err := hub.ValidTopic(topic); err != nil {
			return err
		}
		if err := s.Authorizer.Authorize(r.Context(), id, topic, rights.ActionPublish); err != nil {
			return err
		}
	}
	if err := s.takeEventRates(r, events); err != nil {
		return err
	}
	for i, topic := range topics {
		if _, err := s.hub.Publish(topic, id.User, events[i:i+1]); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
