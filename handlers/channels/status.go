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

// status is status:CONVERSATION: how work gets on, of the categories that a client has subscribed, and of none before
// that. The conversation's own progress is published there by the server. Other programs publish
// {"category","text","metadata"?} as "status_update" on that topic, over REST or a socket. The conversation's owner may
// join, and who was given this topic: see Service.Guard. Beside RubberDuck's events the join takes "categories" too, so
// that one with "after" brings what was missed.
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
	h := &statusHandler{publisher: publisher{c}, changes: rate.NewLimiter(rate.Every(time.Minute/maxChanges), maxChanges)}
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
	if h.present, err = trackPresence(ctx, c, map[string]any{"conversation_id": id, "subscribed_categories": h.set().names()}); err != nil {
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

// maxChanges is how often a client may change its subscriptions in a minute.
const maxChanges = 30

// statusHandler is one client's join of a status topic.
type statusHandler struct {
	publisher  // for every event that is not here
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
			if given == 0 { // the empty list is all of them
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

// change changes the subscriptions to what merge makes of them and of the client's list, and replies with all there are
// now, under that name.
func (h *statusHandler) change(m *socket.Message, tellValid bool, reply string, merge func(have, given categorySet) categorySet) error {
	if !h.changes.Allow() {
		return &socket.Refusal{Response: map[string]any{
			"reason": "rate_limit_exceeded", "message": "Too many subscription changes: at most 30 a minute", "limit": maxChanges,
			"retry_after_ms": (time.Minute / maxChanges).Milliseconds(),
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
	_ = json.Unmarshal(object, &members) // what is no object has none
	return members[name]
}

// report publishes a status_update of the client's.
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
	p.Timestamp = now()
	in := hub.EventInput{Event: statusEvent}
	if _, err := readPublishMembers(m, &in); err != nil {
		return err
	}
	in.Payload, in.Ephemeral = encodeJSON(p), false
	return publish(h.c, m, in)
}

// Rewrite implements socket.Rewriter. An update that came without a timestamp or metadata gets them.
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
