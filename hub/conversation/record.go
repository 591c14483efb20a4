package conversation

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// Limits of one conversation.
const (
	maxMessages     = 40        // stored messages; RubberDuck's number
	maxBytes        = 512 << 10 // of all messages together, approximately
	maxMessageBytes = 64 << 10  // of one message; a longer answer is cut, but complete in its stream
)

// Record is the stored state of a conversation. Copies share what its members point to, so that must not be changed.
type Record struct {
	ID        string                     `json:"id"`
	Owner     string                     `json:"owner"`
	Title     string                     `json:"title,omitempty"`
	Metadata  json.RawMessage            `json:"metadata,omitempty"`
	SessionID string                     `json:"session_id"` // changes with each Reset
	Context   map[string]json.RawMessage `json:"context,omitempty"`
	Model     Preference                 `json:"llm_preference"`
	Messages  []Message                  `json:"messages"` // oldest first
	Running   *Running                   `json:"running,omitempty"`
	Used      time.Time                  `json:"used"`

	version int64 // of the stored record; 0: it is not stored yet
}

// Running describes the running answer. It is removed when the end of the answer was published.
type Running struct {
	Message string     `json:"message_id"`
	User    string     `json:"user_id"` // who asked
	Stream  string     `json:"stream"`  // of the answer
	Model   Preference `json:"llm_preference"`
	Answer  string     `json:"answer_id"`      // the id of the answer's message
	By      string     `json:"by,omitempty"`   // the message that supersedes it
	Stored  bool       `json:"kept,omitempty"` // the answer is among the messages; its end may not be published yet
}

// Message is one message of a conversation.
type Message struct {
	ID        string          `json:"id"`
	Role      string          `json:"role"`
	Content   string          `json:"content"`
	Metadata  MessageMetadata `json:"metadata"`
	CreatedAt string          `json:"created_at"`
}

// timestamp returns the current time in the format of messages.
func timestamp() string { return time.Now().UTC().Format(hub.TimeFormat) }

// Roles of messages, as models know them.
const (
	roleUser      = "user"
	roleAssistant = "assistant"
)

// MessageMetadata is further information about a message.
type MessageMetadata struct {
	User      string `json:"user_id,omitempty"` // who asked
	Alias     string `json:"id,omitempty"`      // an id that the user gave the question
	Stream    string `json:"stream,omitempty"`  // of the answer
	ReplyTo   string `json:"reply_to,omitempty"`
	Status    string `json:"status,omitempty"` // its stream's, if the answer is incomplete
	Model     string `json:"model_used,omitempty"`
	Truncated bool   `json:"truncated,omitempty"`
}

// Preference is the model for the questions of a conversation that do not name one.
type Preference struct {
	Provider string `json:"provider,omitempty"`
	Model    string `json:"model,omitempty"`
	Default  bool   `json:"is_default,omitempty"` // the user's next conversation has it, too
}

// with returns the record with another message. It drops the oldest messages beyond the limits.
func (r Record) with(m Message) Record {
	list := append(slices.Clip(r.Messages), m) // a copy, since others may read the old list
	size := 0
	first := len(list)
	for first > 0 && len(list)-first < maxMessages {
		if size += messageSize(&list[first-1]); size > maxBytes {
			break
		}
		first--
	}
	r.Messages = list[min(first, len(list)-1):]
	return r
}

// find returns the message with the id, or the question to which the user gave the id; nil if there is none.
func (r *Record) find(user, id string) *Message {
	for i := range r.Messages {
		if m := &r.Messages[i]; m.ID == id || m.Metadata.Alias == id && m.Metadata.User == user {
			return m
		}
	}
	return nil
}

// Last returns the newest messages, at most n of them.
func (r *Record) Last(n int) []Message { return r.Messages[max(0, len(r.Messages)-n):] }

func messageSize(m *Message) int { return len(m.Content) + 256 }

// size returns about how many bytes the record takes.
func (r *Record) size() int {
	n := 512 + len(r.Title) + len(r.Metadata)
	for name, value := range r.Context {
		n += len(name) + len(value) + 64
	}
	for i := range r.Messages {
		n += messageSize(&r.Messages[i])
	}
	return n
}
