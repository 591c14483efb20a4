package hub

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/hub/errs"
)

// maxTo is the largest number of recipients of one durable event.
const maxTo = 100

// checkDurable validates Durable and To. field is the prefix of field names in errors: it ends in '.', or is empty.
func (in *EventInput) checkDurable(field string) error {
	switch {
	case in.Durable && in.Ephemeral:
		return errs.Invalid(field+"durable", "cannot be had with ephemeral: such an event is not kept")
	case in.Durable && len(in.To) == 0:
		return errs.Invalid(field+"to", "must name the users for whom a durable event is kept")
	case !in.Durable && len(in.To) > 0:
		return errs.Invalid(field+"to",
			"is for durable events, which are kept for users who are away; set durable as well")
	case len(in.To) > maxTo:
		return &errs.LimitError{Kind: errs.ErrTooLarge, Name: field + "to, in users", Limit: maxTo}
	case in.Durable:
		return validMessage(field+"event", in.Event)
	}
	return nil
}

// storeForOffline stores checked durable events in the queues of those recipients who do not read the topic. It is
// called before the events are published, so that an error leaves nothing half done. A recipient who subscribes in
// between gets the event twice, with the same id.
func (q *queues) storeForOffline(name, sender string, events []EventInput) error {
	h := q.hub
	var messages []StoredMessage
	var of []int // the index of each message's event
	now := time.Now()
	offline, err := h.topics.offlineRecipients(name, events)
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
			in.ID = ulid.Make().String() // the queues and the topic get the same id
		}
		for n, user := range in.To {
			if !offline[user] || slices.Contains(in.To[:n], user) {
				continue
			}
			mi := MessageInput{
				User: user, ID: in.ID, Topic: name, Event: in.Event, Payload: in.Payload, Bytes: in.Bytes,
			}
			m, err := mi.toStored(sender, eventField(i, len(events)), &h.limits, now)
			if err != nil {
				return err
			}
			m.Named = named
			messages, of = append(messages, m), append(of, i)
		}
	}
	if len(messages) == 0 {
		return nil
	}
	_, err = q.storeMessages(messages, QueueLimits{Messages: h.limits.QueueMax, Bytes: h.limits.QueueBytes})
	return nameConflict(err, func(i int) string { return eventField(of[i], len(events)) })
}

// offlineRecipients returns the recipients of durable events who read the topic on no node. A node that does not
// answer counts as one without readers: a user who reads there gets the event twice, with the same id.
func (r *topicRegistry) offlineRecipients(name string, events []EventInput) (map[string]bool, error) {
	h := r.hub
	var users []string
	for i := range events {
		users = append(users, events[i].To...) // only durable events have recipients
	}
	if len(users) == 0 {
		return nil, nil
	}
	if h.queues.store == nil {
		return nil, ErrNoQueue
	}
	t, err := r.findOrCreate(name)
	if err != nil {
		return nil, err
	}
	offline := make(map[string]bool)
	for _, user := range t.notReading(users) {
		offline[user] = true
	}
	if !h.cluster.sharesStreams() || len(offline) == 0 {
		return offline, nil
	}
	question := readersQuestion{name, slices.Sorted(maps.Keys(offline))}
	for _, answer := range h.cluster.callAll(callReaders, question) {
		var reading []string
		if err := json.Unmarshal(answer, &reading); err != nil {
			h.logger.Error("another node's answer is not understood; nodes of different versions?", "error", err)
		}
		for _, user := range reading {
			delete(offline, user)
		}
	}
	return offline, nil
}

// callReaders asks another node which of some users read a topic there.
const callReaders = "readers"

type readersQuestion struct {
	Topic string   `json:"topic"`
	Users []string `json:"users"`
}

// answerReaders answers callReaders with the names of those users who read the topic on this node.
func (r *topicRegistry) answerReaders(q *readersQuestion) (any, error) {
	reading := []string{}
	if t := r.find(q.Topic); t != nil {
		others := t.notReading(q.Users)
		reading = slices.DeleteFunc(q.Users, func(user string) bool { return slices.Contains(others, user) })
	}
	return reading, nil
}

// notReading returns those of the users who do not read the topic on this node.
func (t *topic) notReading(users []string) (others []string) {
	t.Lock()
	defer t.Unlock()
	for i, user := range users {
		if t.readersByUser[user] == 0 && !slices.Contains(users[:i], user) {
			others = append(others, user)
		}
	}
	return others
}
