package hub

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// Publish appends events to a topic: all or none. The sender becomes part of the events. A durable event is first put
// into the queues of those users in To who do not read the topic at the moment. Errors: *FieldError (also of the kind
// ErrConflict, for an id of the sender's with another content), *LimitError, ErrClosed while draining; for durable events also those of Enqueue. The caller must have checked that the sender may
// publish there, and may queue messages for To.
func (h *Hub) Publish(name, sender string, events []EventInput) ([]Published, error) {
	if err := h.CheckEvents(events); err != nil {
		return nil, err
	}
	if h.IsDraining() {
		return nil, errs.ErrClosed
	}
	if err := h.makeRoom(); err != nil {
		return nil, err
	}
	if err := h.topics.checkDurableIDs(name, sender, events); err != nil {
		return nil, err
	}
	if err := h.queues.storeForOffline(name, sender, events); err != nil {
		return nil, err
	}
	return h.topics.publish(name, sender, events)
}

// Conclude is Publish for events that report the end of earlier work: they are accepted while the hub drains.
func (h *Hub) Conclude(name, sender string, events []EventInput) ([]Published, error) {
	if err := h.CheckEvents(events); err != nil {
		return nil, err
	}
	return h.topics.publish(name, sender, events)
}

// CheckEvents validates the events of one publish, and compacts their payloads. Publish does it, too; it is exported
// for callers that must validate before they check permissions.
func (h *Hub) CheckEvents(events []EventInput) error {
	if len(events) == 0 {
		return errs.Invalid("events", "must hold at least one event")
	}
	if limit := h.limits.BatchEvents; len(events) > limit {
		return &errs.LimitError{
			Kind: errs.ErrTooLarge, Name: "events in one request (batch_events)", Limit: int64(limit),
		}
	}
	var ids idsOfRequest
	for i := range events {
		in, field := &events[i], eventField(i, len(events))
		if err := in.check(field, &h.limits); err != nil {
			return err
		}
		if in.ID == "" || in.Ephemeral || len(events) == 1 {
			continue
		}
		if !ids.use(idUse{id: in.ID}, in.digest()) {
			return idConflict(fieldPrefix(field))
		}
	}
	return nil
}

// eventField returns the name of one event of a request for errors: its index if there are several, otherwise "".
func eventField(i, n int) string {
	if n == 1 {
		return ""
	}
	return "events[" + strconv.Itoa(i) + "]"
}

// checkDurableIDs returns publish's error for the ids of durable events. They are checked before the events are put
// into queues, so that a conflict leaves nothing half done.
func (r *topicRegistry) checkDurableIDs(name, sender string, events []EventInput) (err error) {
	if !slices.ContainsFunc(events, func(in EventInput) bool { return in.Durable && in.ID != "" }) {
		return nil
	}
	if c := r.hub.cluster; c.sharesTopics() {
		err = c.topics.CheckIDs(name, sharedEvents(sender, events, time.Now()))
	} else if t := r.find(name); t != nil {
		t.Lock()
		err = t.checkIDs(sender, events)
		t.Unlock()
	}
	return nameConflict(err, func(i int) string { return eventField(i, len(events)) })
}

// publish appends checked events to a topic, also while the hub drains: the end of a stream is announced then, too.
func (r *topicRegistry) publish(name, sender string, events []EventInput) ([]Published, error) {
	out, err := r.appendTo(name, sender, events)
	return out, nameConflict(err, func(i int) string { return eventField(i, len(events)) })
}

func (r *topicRegistry) appendTo(name, sender string, events []EventInput) ([]Published, error) {
	if c := r.hub.cluster; c.sharesTopics() {
		return c.publish(name, sender, events)
	}
	for {
		t, err := r.findOrCreate(name)
		if err != nil {
			return nil, err
		}
		if out, err := t.publish(sender, events, time.Now()); err != errs.ErrClosed {
			return out, err
		}
	}
}

// publish appends checked events to the store's log of a topic, from which all nodes with readers get them.
func (c *Cluster) publish(name, sender string, events []EventInput) ([]Published, error) {
	if err := ValidTopic(name); err != nil {
		return nil, err
	}
	shared := sharedEvents(sender, events, time.Now())
	positions, err := c.appendEvents(name, shared)
	if err != nil {
		return nil, err
	}
	out := make([]Published, len(events))
	for i := range out {
		out[i].ID = shared[i].ID
		if !shared[i].Ephemeral {
			out[i].Position = positions[i].String()
			c.hub.topics.reloadUnlessEpoch(name, positions[i].Epoch)
		}
	}
	return out, nil
}

// sharedEvents returns checked events in the store's form.
func sharedEvents(sender string, events []EventInput, now time.Time) []SharedEvent {
	shared := make([]SharedEvent, len(events))
	for i := range events {
		in := &events[i]
		shared[i] = SharedEvent{
			ID: in.ID, Named: in.ID != "" && !in.Ephemeral, Sender: sender, Event: in.Event, Bytes: in.Bytes,
			Except: in.Except, Ephemeral: in.Ephemeral, Millis: now.UnixMilli(),
		}
		if shared[i].Named {
			shared[i].Digest = in.digest()
		}
		if in.ID == "" {
			shared[i].ID = ulid.Make().String()
		}
		if in.Bytes == nil {
			shared[i].Payload = in.Payload
		}
	}
	return shared
}

// appendTimeout is how long events are retried while the store cannot be reached.
const appendTimeout = 5 * time.Second

// appendEvents appends events to the store's log of a topic. If the store cannot be reached, it retries events that
// all have an id of the sender's, which makes a retry idempotent. Without retries, the sender's next events could be
// stored before these when the store comes back.
func (c *Cluster) appendEvents(name string, events []SharedEvent) (positions []log.Position, err error) {
	l := &c.hub.limits
	limits := TopicLimits{
		Events: l.HistoryEvents, Bytes: l.HistoryBytes, TTL: l.HistoryTTL,
		Ephemerals: l.EphemeralKeys, EphemeralTTL: l.EphemeralTTL,
	}
	idempotent := !slices.ContainsFunc(events, func(e SharedEvent) bool { return !e.Named })
	begun := time.Now()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		positions, err = c.topics.AppendEvents(name, events, limits)
		if !idempotent || !errors.Is(err, errs.ErrUnavailable) || time.Since(begun) > appendTimeout ||
			!c.hub.background.Pause(pause) {
			return positions, err
		}
	}
}

// reloadUnlessEpoch has the topic's mirror read the store if the mirror is of another epoch: it may not have been told
// of the new epoch yet.
func (r *topicRegistry) reloadUnlessEpoch(name, epoch string) {
	t := r.find(name)
	if t == nil {
		return
	}
	t.Lock()
	m := t.mirror
	other := t.Epoch() != epoch
	t.Unlock()
	if m != nil && other {
		m.Gap()
	}
}
