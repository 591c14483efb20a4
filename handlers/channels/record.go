package channels

import (
	"encoding/json"
	"slices"
	"time"
)

// Limits of one conversation.
const (
	keptMessages  = 40        // messages that are kept; RubberDuck's number
	askedMessages = 20        // of which so many of the last go to the model
	keptBytes     = 512 << 10 // of all messages together, about
	longestKept   = 64 << 10  // of one message: a longer answer is whole in its stream, and cut here
)

// record is all that is to be known of a conversation: a value. Nobody changes what its members point to.
type record struct {
	ID       string                     `json:"id"`
	Owner    string                     `json:"owner"`
	Title    string                     `json:"title,omitempty"`
	Metadata json.RawMessage            `json:"metadata,omitempty"`
	Session  string                     `json:"session_id"` // anew with each new_conversation
	Context  map[string]json.RawMessage `json:"context,omitempty"`
	Model    preference                 `json:"llm_preference"`
	Messages []chatMessage              `json:"messages"` // oldest first
	Running  *running                   `json:"running,omitempty"`
	Used     time.Time                  `json:"used"`

	version int64 // of what is kept; 0: nothing is
}

// running is the question that is being answered, until its end has been told.
type running struct {
	Message string     `json:"message_id"`
	User    string     `json:"user_id"` // who asked
	Stream  string     `json:"stream"`
	Model   preference `json:"llm_preference"`
	Answer  string     `json:"answer_id"`      // the id that the answer gets among the messages
	By      string     `json:"by,omitempty"`   // the message that supersedes it
	Kept    bool       `json:"kept,omitempty"` // the answer is among the messages; it may not have been told yet
}

// chatMessage is one message as "history" tells it.
type chatMessage struct {
	ID        string          `json:"id"`
	Role      string          `json:"role"`
	Content   string          `json:"content"`
	Metadata  messageMetadata `json:"metadata"`
	CreatedAt string          `json:"created_at"`
}

// messageMetadata is what else is known of a message.
type messageMetadata struct {
	User      string `json:"user_id,omitempty"` // who asked
	Alias     string `json:"id,omitempty"`      // the asker's own id of it
	Stream    string `json:"stream,omitempty"`  // of the answer
	ReplyTo   string `json:"reply_to,omitempty"`
	Status    string `json:"status,omitempty"` // of an answer that is not whole: cancelled, superseded, failed or interrupted
	Model     string `json:"model_used,omitempty"`
	Truncated bool   `json:"truncated,omitempty"`
}

// preference is which model a conversation's questions go to, unless they say otherwise.
type preference struct {
	Provider string `json:"provider,omitempty"`
	Model    string `json:"model,omitempty"`
	Default  bool   `json:"is_default,omitempty"` // the user's next conversation begins with it
}

// with returns the record with one message more, without what is too old or too much.
func (r record) with(m chatMessage) record {
	list := append(slices.Clip(r.Messages), m) // a copy: others read the old one
	size := 0
	first := len(list)
	for first > 0 && len(list)-first < keptMessages {
		if size += messageSize(&list[first-1]); size > keptBytes {
			break
		}
		first--
	}
	r.Messages = list[min(first, len(list)-1):]
	return r
}

// find returns the message of that id, or the one that the user sent under it as an id of its own; nil for none.
func (r *record) find(user, id string) *chatMessage {
	for i := range r.Messages {
		if m := &r.Messages[i]; m.ID == id || m.Metadata.Alias == id && m.Metadata.User == user {
			return m
		}
	}
	return nil
}

// last returns the newest messages, at most n of them.
func (r *record) last(n int) []chatMessage { return r.Messages[max(0, len(r.Messages)-n):] }

func messageSize(m *chatMessage) int { return len(m.Content) + 256 }

// size is what the record takes, about.
func (r *record) size() int {
	n := 512 + len(r.Title) + len(r.Metadata)
	for name, value := range r.Context {
		n += len(name) + len(value) + 64
	}
	for i := range r.Messages {
		n += messageSize(&r.Messages[i])
	}
	return n
}
