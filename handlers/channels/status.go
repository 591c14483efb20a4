package channels

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
)

// status is the kind of status:CONVERSATION: progress of work in the categories that a client has subscribed to;
// initially none. The server publishes the conversation's own progress. Other programs publish
// {"category","text","metadata"?} as "status_update" on the topic, over REST or a socket. The conversation's owner may
// join, and users with a right on this topic: see Service.Guard. Besides RubberDuck's events, the join accepts
// "categories", so that a join with "after" receives missed updates.
type status struct{}

func (status) Join(ctx context.Context, c *socket.Channel, params json.RawMessage) (socket.Handler, error) {
	if err := hub.ValidTopic(c.Topic()); err != nil {
		return nil, err
	}
	id := strings.TrimPrefix(c.Topic(), conversation.StatusPrefix)
	if err := mayJoin(ctx, c); err != nil {
		return nil, err
	}
	var err error
	h := &statusHandler{
		publisher: publisher{c}, changes: rate.NewLimiter(rate.Every(time.Minute/maxChanges), maxChanges),
	}
	if list := member(params, "categories"); !jsonw.IsNull(list) {
		set, err := readCategories(list, true)
		if err != nil {
			return nil, err
		}
		h.subscribed.Store(uint32(set))
	}
	c.Set("conversation_id", id)
	c.Set("available_categories", available)
	c.Set("subscribed_categories", h.set().names())
	if err := c.Subscribe(c.Topic()); err != nil {
		return nil, err
	}
	h.present, err = trackPresence(ctx, c, map[string]any{
		"conversation_id": id, "subscribed_categories": h.set().names(),
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

const statusEvent = "status_update"

// statusUpdate is the payload of status_update.
type statusUpdate struct {
	Category  string          `json:"category"`
	Text      string          `json:"text"`
	Metadata  json.RawMessage `json:"metadata"`
	Timestamp string          `json:"timestamp"`
}

// maxChanges is how often a client may change its subscriptions per minute.
const maxChanges = 30

// statusHandler handles one client's join of a status topic.
type statusHandler struct {
	publisher  // handles all other events
	present    *presenceMeta
	changes    *rate.Limiter
	subscribed atomic.Uint32 // a categorySet; Rewrite reads it
}

func (h *statusHandler) set() categorySet { return categorySet(h.subscribed.Load()) }

// Left implements socket.Leaver.
func (h *statusHandler) Left() { h.present.end() }

func (h *statusHandler) Handle(ctx context.Context, m *socket.Message) error {
	switch m.Event {
	case "subscribe_categories":
		return h.change(m, true, "subscribed", func(have, given categorySet) categorySet { return have | given })
	case "unsubscribe_categories":
		return h.change(m, false, "subscribed", func(have, given categorySet) categorySet { return have &^ given })
	case "update_subscription":
		return h.change(m, true, "subscribed_categories", func(_, given categorySet) categorySet {
			if given == 0 { // an empty list means all
				return allCategories
			}
			return given
		})
	case "get_subscriptions":
		m.Reply(map[string]any{"subscribed_categories": h.set().names(), "available_categories": available})
		return nil
	case "get_available_categories":
		m.Reply(map[string]any{"available_categories": available, "descriptions": descriptions})
		return nil
	case statusEvent:
		return h.report(ctx, m)
	}
	return h.publisher.Handle(ctx, m)
}

// change merges the client's list into the subscriptions, and replies with the result under the name reply.
func (h *statusHandler) change(
	m *socket.Message, tellValid bool, reply string, merge func(have, given categorySet) categorySet,
) error {
	if !h.changes.Allow() {
		return &socket.Refusal{Response: map[string]any{
			"reason": "rate_limit_exceeded", "message": "Too many subscription changes: at most 30 a minute",
			"limit": maxChanges, "retry_after_ms": (time.Minute / maxChanges).Milliseconds(),
		}}
	}
	given, err := readCategories(member(m.Payload, "categories"), tellValid)
	if err != nil {
		return err
	}
	now := merge(h.set(), given)
	h.subscribed.Store(uint32(now))
	h.present.set("subscribed_categories", now.names())
	m.Reply(map[string]any{reply: now.names()})
	return nil
}

// member returns a member of a JSON object, or nil.
func member(object json.RawMessage, name string) json.RawMessage {
	var members map[string]json.RawMessage
	_ = json.Unmarshal(object, &members) // a value that is not an object has no members
	return members[name]
}

// report publishes a client's status_update.
func (h *statusHandler) report(ctx context.Context, m *socket.Message) error {
	if err := h.c.Authorize(ctx, h.c.Topic(), rights.ActionPublish); err != nil {
		return err
	}
	var p statusUpdate
	if err := m.Decode(&p); err != nil {
		return err
	}
	if categoryOf(p.Category) == 0 {
		return invalidCategories([]string{p.Category}, true)
	}
	if jsonw.IsNull(p.Metadata) {
		p.Metadata = json.RawMessage("{}")
	}
	if p.Metadata[0] != '{' {
		return errs.Invalid("metadata", "must be an object")
	}
	p.Timestamp = ""
	in := hub.EventInput{ID: m.Reserved.ID, Event: statusEvent, Content: encodeJSON(p)}
	p.Timestamp = now()
	in.Payload = encodeJSON(p)
	return publish(h.c, m, in)
}

// Rewrite implements socket.Rewriter. It drops updates of other categories, and adds a missing timestamp or metadata.
func (h *statusHandler) Rewrite(ev *log.Event) (out socket.Outgoing, keep bool) {
	if ev.Name != statusEvent {
		return out, true
	}
	var p statusUpdate
	if json.Unmarshal(ev.Payload(), &p) != nil || categoryOf(p.Category)&h.set() == 0 {
		return out, false
	}
	if p.Timestamp != "" && !jsonw.IsNull(p.Metadata) {
		return out, true
	}
	if jsonw.IsNull(p.Metadata) {
		p.Metadata = json.RawMessage("{}")
	}
	if p.Timestamp == "" {
		p.Timestamp = timeText(ev.Time)
	}
	return socket.Outgoing{Event: ev.Name, Payload: encodeJSON(p)}, false
}
