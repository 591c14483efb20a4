package hub

import (
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
)

// maxTo is how many users one durable event may be for.
const maxTo = 100

// checkDurable checks what is said of the queue. field ends in '.', or is empty.
func (in *EventInput) checkDurable(field string) error {
	switch {
	case in.Durable && in.Ephemeral:
		return Invalid(field+"durable", "cannot be had with ephemeral: such an event is not kept")
	case in.Durable && len(in.To) == 0:
		return Invalid(field+"to", "must name the users for whom a durable event is kept")
	case !in.Durable && len(in.To) > 0:
		return Invalid(field+"to", "is for durable events, which are kept for users who are away; set durable as well")
	case len(in.To) > maxTo:
		return &LimitError{Kind: ErrTooLarge, Name: field + "to, in users", Limit: maxTo}
	}
	return nil
}

// keepForAway leaves checked durable events in the queues of those who are away: who do not read the topic. It comes before the event itself, so
// that a failure leaves nothing half done; one who comes in between gets it twice, with the same id.
func (h *Hub) keepForAway(name, sender string, events []EventInput) error {
	var messages []StoredMessage
	now := time.Now()
	for i := range events {
		in := &events[i]
		if !in.Durable {
			continue
		}
		if h.queues.store == nil {
			return ErrNoQueue
		}
		t, err := h.topic(name)
		if err != nil {
			return err
		}
		named := in.ID != ""
		if !named {
			in.ID = ulid.Make().String() // the same in every place
		}
		for _, user := range t.away(in.To) {
			mi := MessageInput{User: user, ID: in.ID, Topic: name, Event: in.Event, Payload: in.Payload, Bytes: in.Bytes}
			m, err := mi.stored(sender, eventField(i, len(events)), &h.limits, now)
			if err != nil {
				return err
			}
			m.Named = named
			messages = append(messages, m)
		}
	}
	if len(messages) == 0 {
		return nil
	}
	_, err := h.keepMessages(messages, QueueRoom{Messages: h.limits.QueueMax, Bytes: h.limits.QueueBytes})
	return err
}

// away returns those of the users who do not read the topic.
func (t *topic) away(users []string) (away []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, user := range users {
		if t.users[user] == 0 && !slices.Contains(users[:i], user) {
			away = append(away, user)
		}
	}
	return away
}
