package handlers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/middleware"
)

// eventBody is one event in POST /v1/topics/{topic}/events.
type eventBody struct {
	ID        string          `json:"id"`
	Event     string          `json:"event"`
	Payload   json.RawMessage `json:"payload"`
	Bytes     *[]byte         `json:"bytes"` // base64, in place of payload
	Ephemeral bool            `json:"ephemeral"`
	To        []string        `json:"to"`
	Durable   bool            `json:"durable"`
}

// publishedView is what became of one event. An ephemeral one has no position.
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
	id := middleware.IdentityFrom(r.Context())
	if err := s.Authorizer.Authorize(r.Context(), id, topic, hub.ActionPublish); err != nil {
		return err
	}
	events, err := s.readEvents(r)
	if err != nil {
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

// readEvents reads the body: an event, an array of events, or {"events": […]}.
func (s *server) readEvents(r *http.Request) ([]hub.EventInput, error) {
	raw, err := s.readBody(r)
	if err != nil {
		return nil, err
	}
	var bodies []eventBody
	var batch struct {
		Events *[]eventBody `json:"events"`
	}
	switch {
	case len(raw) > 0 && raw[0] == '[':
		err = decodeStrict(raw, &bodies, "events")
	case bytes.HasPrefix(raw, []byte(`{`)) && hasMember(raw, "events"):
		if err = decodeStrict(raw, &batch, ""); err == nil && batch.Events != nil {
			bodies = *batch.Events
		}
	default:
		bodies = make([]eventBody, 1)
		err = decodeStrict(raw, &bodies[0], "")
	}
	if err != nil {
		return nil, err
	}
	events := make([]hub.EventInput, len(bodies))
	for i, b := range bodies {
		if b.Durable || len(b.To) > 0 {
			return nil, fmt.Errorf(`"to" and "durable" need the queue: %w`, errMissing)
		}
		events[i] = hub.EventInput{ID: b.ID, Event: b.Event, Payload: b.Payload, Ephemeral: b.Ephemeral}
		if b.Bytes != nil {
			if b.Payload != nil {
				return nil, hub.Invalid("bytes", "stands in place of payload; give one of the two")
			}
			events[i].Bytes = *b.Bytes
		}
	}
	return events, nil
}

// getEvents answers GET /v1/topics/{topic}/events: SSE, or history as JSON.
func (s *server) getEvents(w http.ResponseWriter, r *http.Request) error {
	topic, err := topicParam(r)
	if err != nil {
		return err
	}
	id := middleware.IdentityFrom(r.Context())
	if err := s.Authorizer.Authorize(r.Context(), id, topic, hub.ActionSubscribe); err != nil {
		return err
	}
	media, err := topicShape(r)
	if err != nil {
		return err
	}
	if media == mediaSSE {
		return s.followTopics(w, r, []string{topic}, false)
	}
	if r.URL.Query().Has("presence") {
		return hub.Invalid("?presence", "is for %s: one is present as long as an answer goes on", mediaSSE)
	}
	return s.history(w, r, topic)
}

func topicShape(r *http.Request) (string, error) {
	switch format := r.URL.Query().Get("format"); format {
	case "":
	case "sse":
		return mediaSSE, nil
	case "json":
		return mediaJSON, nil
	default:
		return "", hub.Invalid("?format", "must be sse or json; got %q", clip(format))
	}
	media := negotiate(r, mediaJSON, mediaSSE)
	if media == "" {
		return "", fmt.Errorf("events can be had as %s and %s: %w", mediaJSON, mediaSSE, errAccept)
	}
	return media, nil
}

// historyView is a page of a topic's events. Position is where the next page begins.
type historyView struct {
	Events   []json.RawMessage `json:"events"`
	Position string            `json:"position"`
	Reset    *resetView        `json:"reset,omitempty"`
}

// history answers with what is kept after a position, at most ?limit= events, and with ?wait= waits for the first.
func (s *server) history(w http.ResponseWriter, r *http.Request, topic string) error {
	q := r.URL.Query()
	p, err := parsePosition(resumeFrom(r), hub.Position{})
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
	wake := hub.NewWake()
	defer s.hub.OnDrain(wake)()
	reader, reset, err := s.hub.Subscribe(topic, p, wake)
	if err != nil {
		return err
	}
	defer reader.Close()
	items, late := s.readPage(r, reader, wake, limit, time.Duration(wait)*time.Second)
	view := historyView{Events: make([]json.RawMessage, len(items)), Position: reader.Position().String()}
	for i := range items {
		view.Events[i] = items[i].Event.Data
	}
	if reset == nil {
		reset = late
	}
	if reset != nil {
		view.Reset = &resetView{reset.Reason, reset.Requested, reset.From.String()}
	}
	writeJSON(w, http.StatusOK, view)
	return nil
}

// readPage reads up to limit events; where there are none, it waits for some.
func (s *server) readPage(r *http.Request, reader *hub.TopicReader, wake *hub.Wake, limit int, wait time.Duration) (items []hub.Item, reset *hub.Reset) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		for len(items) < limit {
			had := len(items)
			var late *hub.Reset
			if items, late = reader.ReadUpTo(items, limit-had); late != nil {
				reset = late
			}
			if len(items) == had {
				break
			}
		}
		if len(items) > 0 || wait <= 0 || s.hub.IsDraining() {
			return items, reset
		}
		select {
		case <-wake.C:
		case <-timer.C:
			return items, reset
		case <-r.Context().Done():
			return items, reset
		}
	}
}
