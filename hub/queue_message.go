package hub

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// MessageInput is a message to be stored for a user.
type MessageInput struct {
	User string // the recipient

	// ID makes Enqueue idempotent: an id of the same sender is accepted once, while the queue remembers the first
	// message (QueueStore.Enqueue). It is bound to the message's topic, event and payload: with others it is an
	// ErrConflict. "": an id is generated.
	ID string

	Topic   string          // what it is about; "": the user's own topic
	Event   string          // the name (ValidName)
	Payload json.RawMessage // any JSON value; nil is {}
	Bytes   []byte          // the payload of a binary event, instead of Payload
}

// Queued is the result of storing one message.
type Queued struct {
	ID       string
	Position log.Position
}

// AppendJSON appends the message as clients get it: the schema Message of openapi.yaml. epoch is that of its queue.
func (m *StoredMessage) AppendJSON(dst []byte, epoch string) []byte {
	dst = append(dst, `{"id":`...)
	dst = jsonw.AppendString(dst, m.ID)
	dst = append(dst, `,"position":"`...)
	dst = log.Position{Epoch: epoch, Offset: m.Offset}.Append(dst)
	dst = append(dst, `","topic":`...)
	dst = jsonw.AppendString(dst, m.Topic)
	dst = append(dst, `,"event":`...)
	dst = jsonw.AppendString(dst, m.Event)
	dst = append(dst, `,"payload":`...)
	dst = append(dst, m.Payload...)
	dst = append(dst, `,"sender":`...)
	dst = jsonw.AppendString(dst, m.Sender)
	dst = append(dst, `,"queued_at":"`...)
	dst = m.QueuedAt.UTC().AppendFormat(dst, TimeFormat)
	dst = append(dst, `","expires_at":"`...)
	dst = m.ExpiresAt.UTC().AppendFormat(dst, TimeFormat)
	return append(dst, `"}`...)
}

// UserTopic returns the name of a user's own topic.
func UserTopic(user string) string { return "user:" + user }

// QueueFull returns a *LimitError if a queue of so many messages and bytes would exceed its limits, otherwise nil.
func QueueFull(user string, messages int, bytes int64, limits QueueLimits) error {
	full := &errs.LimitError{Kind: errs.ErrQueueFull, Retry: time.Minute}
	switch {
	case messages > limits.Messages:
		full.Name, full.Limit = fmt.Sprintf("messages that wait for user %q (queue_max)", user), int64(limits.Messages)
	case bytes > limits.Bytes:
		full.Name, full.Limit = fmt.Sprintf("bytes that wait for user %q (queue_bytes)", user), limits.Bytes
	default:
		return nil
	}
	return full
}

// toStored validates a message, and returns it as it is to be stored. field is its name in the request for errors.
func (in *MessageInput) toStored(sender, field string, l *Limits, now time.Time) (StoredMessage, error) {
	if err := ValidTopic(UserTopic(in.User)); in.User == "" || err != nil {
		return StoredMessage{}, errs.Invalid("user", "must be the id of a user, as tokens name it")
	}
	ev := EventInput{ID: in.ID, Event: in.Event, Payload: in.Payload, Bytes: in.Bytes}
	if err := ev.check(field, l); err != nil {
		return StoredMessage{}, err
	}
	m := StoredMessage{
		User: in.User, ID: in.ID, Named: in.ID != "", Sender: sender, Topic: in.Topic,
		Event: in.Event, Payload: ev.Payload,
	}
	if m.Topic == "" {
		m.Topic = UserTopic(in.User)
	} else if err := ValidTopic(m.Topic); err != nil {
		return StoredMessage{}, err
	}
	if m.ID == "" {
		m.ID = ulid.Make().String()
	}
	m.QueuedAt = now.Truncate(time.Millisecond)
	m.ExpiresAt = m.QueuedAt.Add(l.QueueTTL)
	return m, nil
}
