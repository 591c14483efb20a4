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

// MessageInput is a message to be left for a user.
type MessageInput struct {
	User    string          // for whom
	ID      string          // idempotency: the same sender's same id is accepted once while the first is kept; "": one is made
	Topic   string          // what it is about; "": the user's own topic
	Event   string          // the name, as of a topic's event
	Payload json.RawMessage // any JSON value; nil is {}
	Bytes   []byte          // the payload of a binary event, in place of Payload
}

// Queued is what became of a message.
type Queued struct {
	ID       string
	Position log.Position
}

// AppendJSON appends the message as clients see it (design.md 2.5). epoch is its queue's.
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

// UserTopic is the topic of one user.
func UserTopic(user string) string { return "user:" + user }

// QueueFull is the error of a queue that holds as many messages, or bytes, as it may; nil where messages and bytes fit.
func QueueFull(user string, messages int, bytes int64, room QueueLimits) error {
	switch {
	case messages > room.Messages:
		return &errs.LimitError{Kind: errs.ErrQueueFull, Name: fmt.Sprintf("messages that wait for user %q (queue_max)", user), Limit: int64(room.Messages), Retry: time.Minute}
	case bytes > room.Bytes:
		return &errs.LimitError{Kind: errs.ErrQueueFull, Name: fmt.Sprintf("bytes that wait for user %q (queue_bytes)", user), Limit: room.Bytes, Retry: time.Minute}
	}
	return nil
}

// stored checks a message, and returns it as it is to be kept. field is its name in the caller's request.
func (in *MessageInput) toStored(sender, field string, l *Limits, now time.Time) (StoredMessage, error) {
	if err := ValidTopic(UserTopic(in.User)); in.User == "" || err != nil {
		return StoredMessage{}, errs.Invalid("user", "must be the id of a user, as tokens name it")
	}
	ev := EventInput{ID: in.ID, Event: in.Event, Payload: in.Payload, Bytes: in.Bytes}
	if err := ev.check(field, l); err != nil {
		return StoredMessage{}, err
	}
	m := StoredMessage{
		User: in.User, ID: in.ID, Named: in.ID != "", Sender: sender, Topic: in.Topic, Event: in.Event, Payload: ev.Payload,
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
