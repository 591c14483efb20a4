package conversation

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// Limits of one conversation.
const (
	maxMessages    = 40        // messages that are stored; RubberDuck's number
	maxBytes       = 512 << 10 // of all messages together, about
	longestMessage = 64 << 10  // bytes: a longer answer is whole in its stream, and cut here
)

// Record is all that is stored of a conversation: a value. Nobody changes what its members point to.
type Record struct {
	ID        string                     `json:"id"`
	Owner     string                     `json:"owner"`
	Title     string                     `json:"title,omitempty"`
	Metadata  json.RawMessage            `json:"metadata,omitempty"`
	SessionID string                     `json:"session_id"` // anew with each Reset
	Context   map[string]json.RawMessage `json:"context,omitempty"`
	Model     Preference                 `json:"llm_preference"`
	Messages  []Message                  `json:"messages"` // oldest first
	Running   *Running                   `json:"running,omitempty"`
	Used      time.Time                  `json:"used"`

	version int64 // of what is stored; 0: nothing is
}

// Running is the question that is being answered, until its end has been told.
type Running struct {
	Message string     `json:"message_id"`
	User    string     `json:"user_id"` // who asked
	Stream  string     `json:"stream"`
	Model   Preference `json:"llm_preference"`
	Answer  string     `json:"answer_id"`      // the id that the answer gets among the messages
	By      string     `json:"by,omitempty"`   // the message that supersedes it
	Stored  bool       `json:"kept,omitempty"` // the answer is among the messages; it may not have been told yet
}

// Message is one message of a conversation.
type Message struct {
	ID        string          `json:"id"`
	Role      string          `json:"role"`
	Content   string          `json:"content"`
	Metadata  MessageMetadata `json:"metadata"`
	CreatedAt string          `json:"created_at"`
}

// timestamp is the present time as messages have it.
func timestamp() string { return time.Now().UTC().Format(hub.TimeFormat) }

// Roles of messages, as models know them.
const (
	roleUser      = "user"
	roleAssistant = "assistant"
)

// MessageMetadata is what else is known of a message.
type MessageMetadata struct {
	User      string `json:"user_id,omitempty"` // who asked
	Alias     string `json:"id,omitempty"`      // the asker's own id of it
	Stream    string `json:"stream,omitempty"`  // of the answer
	ReplyTo   string `json:"reply_to,omitempty"`
	Status    string `json:"status,omitempty"` // of an answer that is not whole: its stream's
	Model     string `json:"model_used,omitempty"`
	Truncated bool   `json:"truncated,omitempty"`
}

// Preference is which model a conversation's questions go to, unless they say otherwise.
type Preference struct {
	Provider string `json:"provider,omitempty"`
	Model    string `json:"model,omitempty"`
	Default  bool   `json:"is_default,omitempty"` // the user's next conversation begins with it
}

// with returns the record with one message more, without what is too old or too much.
func (r Record) with(m Message) Record {
	list := append(slices.Clip(r.Messages), m) // a copy: others read the old one
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

// find returns the message of that id, or the one that the user sent under it as an id of its own; nil for none.
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

// size is what the record takes, about.
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
