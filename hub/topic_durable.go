package hub

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/hub/errs"
)

// maxTo is how many users one durable event may be for.
const maxTo = 100

// checkDurable checks what is said of the queue. field ends in '.', or is empty.
func (in *EventInput) checkDurable(field string) error {
	switch {
	case in.Durable && in.Ephemeral:
		return errs.Invalid(field+"durable", "cannot be had with ephemeral: such an event is not kept")
	case in.Durable && len(in.To) == 0:
		return errs.Invalid(field+"to", "must name the users for whom a durable event is kept")
	case !in.Durable && len(in.To) > 0:
		return errs.Invalid(field+"to", "is for durable events, which are kept for users who are away; set durable as well")
	case len(in.To) > maxTo:
		return &errs.LimitError{Kind: errs.ErrTooLarge, Name: field + "to, in users", Limit: maxTo}
	}
	return nil
}

// storeForOffline leaves checked durable events in the queues of those who are away: who do not read the topic. It comes
// before the event itself, so that a failure leaves nothing half done; one who comes in between gets it twice, with the
// same id.
func (h *Hub) storeForOffline(name, sender string, events []EventInput) error {
	var messages []StoredMessage
	now := time.Now()
	away, err := h.away(name, events)
	if err != nil {
		return err
	}
	for i := range events {
		in := &events[i]
		if !in.Durable {
			continue
		}
		named := in.ID != ""
		if !named {
			in.ID = ulid.Make().String() // the same in every place
		}
		for n, user := range in.To {
			if !away[user] || slices.Contains(in.To[:n], user) {
				continue
			}
			mi := MessageInput{User: user, ID: in.ID, Topic: name, Event: in.Event, Payload: in.Payload, Bytes: in.Bytes}
			m, err := mi.toStored(sender, eventField(i, len(events)), &h.limits, now)
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
	_, err = h.storeMessages(messages, QueueLimits{Messages: h.limits.QueueMax, Bytes: h.limits.QueueBytes})
	return err
}

// away returns those for whom durable events are and who do not read the topic, on any node. One that cannot be asked
// has no readers: whoever reads there gets the event twice, with the same id.
func (h *Hub) away(name string, events []EventInput) (map[string]bool, error) {
	var users []string
	for i := range events {
		users = append(users, events[i].To...) // of durable ones
	}
	if len(users) == 0 {
		return nil, nil
	}
	if h.queues.store == nil {
		return nil, ErrNoQueue
	}
	t, err := h.topic(name)
	if err != nil {
		return nil, err
	}
	away := make(map[string]bool)
	for _, user := range t.notReading(users) {
		away[user] = true
	}
	if !h.cluster.sharesStreams() || len(away) == 0 {
		return away, nil
	}
	for _, answer := range h.callAll(callReaders, readersQuestion{name, slices.Sorted(maps.Keys(away))}) {
		var there []string
		if err := json.Unmarshal(answer, &there); err != nil {
			h.logger.Error("another node's answer is not understood; nodes of different versions?", "error", err)
		}
		for _, user := range there {
			delete(away, user)
		}
	}
	return away, nil
}

// callReaders asks another node which of some users read a topic there.
const callReaders = "readers"

type readersQuestion struct {
	Topic string   `json:"topic"`
	Users []string `json:"users"`
}

// readersHere answers it with their names.
func (h *Hub) readersHere(q *readersQuestion) (any, error) {
	h.topicMu.RLock()
	t := h.topics[q.Topic]
	h.topicMu.RUnlock()
	there := []string{}
	if t != nil {
		away := t.notReading(q.Users)
		there = slices.DeleteFunc(q.Users, func(user string) bool { return slices.Contains(away, user) })
	}
	return there, nil
}

// away returns those of the users who do not read the topic here.
func (t *topic) notReading(users []string) (away []string) {
	t.Lock()
	defer t.Unlock()
	for i, user := range users {
		if t.readersByUser[user] == 0 && !slices.Contains(users[:i], user) {
			away = append(away, user)
		}
	}
	return away
}
