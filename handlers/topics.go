package handlers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
)

// eventBody is one event in POST /v1/topics/{topic}/events.
type eventBody struct {
	payloadBody
	ID        string   `json:"id"`
	Event     string   `json:"event"`
	Ephemeral bool     `json:"ephemeral"`
	To        []string `json:"to"`
	Durable   bool     `json:"durable"`
}

// publishedView is the result for one event. An ephemeral event has no position.
type publishedView struct {
	ID       string  `json:"id"`
	Position *string `json:"position"`
}

// publishEvents publishes one event or a batch, all or none.
func (s *server) publishEvents(w http.ResponseWriter, r *http.Request) error {
	topic, err := topicParam(r)
	if err != nil {
		return err
	}
	id := auth.IdentityFrom(r.Context())
	if err := s.Authorizer.Authorize(r.Context(), id, topic, rights.ActionPublish); err != nil {
		return err
	}
	events, err := s.readEvents(r)
	if err == nil {
		err = s.checkNames(topic, events)
	}
	if err != nil {
		return err
	}
	if err := s.takeEventRates(r, events); err != nil {
		return err
	}
	published, err := s.hub.Publish(topic, id.User, events)
	if err != nil {
		return err
	}
	views := make([]publishedView, len(published))
	for i, p := range published {
		views[i] = publishedView{p.ID, textOrNil(p.Position)}
	}
	writeJSON(w, http.StatusOK, map[string]any{"events": views})
	return nil
}

// checkNames returns the error for an event that only the topic's channel sends.
func (s *server) checkNames(topic string, events []hub.EventInput) error {
	for i := range events {
		field := "event"
		if len(events) > 1 {
			field = fmt.Sprintf("events[%d].event", i)
		}
		if err := s.channels.CheckPublish(topic, field, events[i].Event); err != nil {
			return err
		}
	}
	return nil
}

// readEvents parses the body: an event, an array of events, or {"events": […]}. If events are addressed to users, it
// checks the right to enqueue messages for them.
func (s *server) readEvents(r *http.Request) ([]hub.EventInput, error) {
	bodies, err := readBatch[eventBody](s, r, "events")
	if err != nil {
		return nil, err
	}
	events := make([]hub.EventInput, len(bodies))
	addressed := false
	for i := range bodies {
		b := &bodies[i]
		events[i] = hub.EventInput{
			ID: b.ID, Event: b.Event, Payload: b.Payload, Ephemeral: b.Ephemeral, To: b.To, Durable: b.Durable,
		}
		if events[i].Bytes, err = b.read(); err != nil {
			return nil, err
		}
		addressed = addressed || len(b.To) > 0
	}
	if addressed {
		return events, s.mayEnqueueFor(r, events)
	}
	return events, nil
}

// mayEnqueueFor checks the right to enqueue messages for each addressed user, after the events were checked against the
// limits.
func (s *server) mayEnqueueFor(r *http.Request, events []hub.EventInput) error {
	if err := s.hub.CheckEvents(events); err != nil {
		return err
	}
	id, asked := auth.IdentityFrom(r.Context()), make(map[string]bool)
	for i := range events {
		for _, user := range events[i].To {
			if asked[user] {
				continue
			}
			asked[user] = true
			if err := s.Authorizer.Authorize(r.Context(), id, hub.UserTopic(user), rights.ActionQueue); err != nil {
				return err
			}
		}
	}
	return nil
}

// getEvents answers GET /v1/topics/{topic}/events: SSE, or history as JSON.
func (s *server) getEvents(w http.ResponseWriter, r *http.Request) error {
	topic, err := topicParam(r)
	if err != nil {
		return err
	}
	id := auth.IdentityFrom(r.Context())
	if err := s.Authorizer.Authorize(r.Context(), id, topic, rights.ActionSubscribe); err != nil {
		return err
	}
	media, err := liveOrJSON(r, "events")
	if err != nil {
		return err
	}
	if media == live.MediaSSE {
		return s.followTopics(w, r, []string{topic}, false)
	}
	if r.URL.Query().Has("presence") {
		return errs.Invalid("?presence", "is for %s: one is present as long as an answer goes on", live.MediaSSE)
	}
	return s.history(w, r, topic)
}

// historyView is a page of a topic's events. Position is where the next page begins.
type historyView struct {
	Events   []json.RawMessage `json:"events"`
	Position string            `json:"position"`
	Reset    *resetView        `json:"reset,omitempty"`
}

// history answers with the buffered events after a position, at most ?limit=. With ?wait= it waits for the first.
func (s *server) history(w http.ResponseWriter, r *http.Request, topic string) error {
	q := r.URL.Query()
	p, err := topicPosition(r, log.Position{})
	if err != nil {
		return err
	}
	limit, err := intParam(q, "limit", 100, 1, s.hub.Limits().HistoryEvents)
	if err != nil {
		return err
	}
	wait, err := intParam(q, "wait", 0, 0, maxWait)
	if err != nil {
		return err
	}
	wake := log.NewWake()
	defer s.hub.OnDrain(wake)()
	reader, reset, err := s.hub.Subscribe(topic, p, wake)
	if err != nil {
		return err
	}
	defer reader.Close()
	items, late, err := s.readPage(r, reader, wake, limit, time.Duration(wait)*time.Second)
	if err != nil {
		return err
	}
	view := historyView{Events: make([]json.RawMessage, len(items)), Position: reader.Position().String()}
	for i := range items {
		view.Events[i] = items[i].Event.Data
	}
	if reset == nil {
		reset = late
	}
	view.Reset = viewReset(reset)
	writeJSON(w, http.StatusOK, view)
	return nil
}

// readPage reads up to limit events. If there are none, it waits for the first.
func (s *server) readPage(
	r *http.Request, reader *hub.TopicReader, wake *log.Wake, limit int, wait time.Duration,
) (items []log.Item, reset *log.Reset, err error) {
	err = s.await(r, wake, wait, func() bool {
		for len(items) < limit {
			had := len(items)
			var late *log.Reset
			if items, late = reader.ReadUpTo(items, limit-had); late != nil {
				reset = late
			}
			if len(items) == had {
				break
			}
		}
		return len(items) > 0
	})
	return items, reset, err
}
