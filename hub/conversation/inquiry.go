package conversation

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// Inquiry is a question as a client asks it.
type Inquiry struct {
	User    string
	Client  string // that does not hear its own question
	ID      string // the user's own id of it, under which it is not asked twice; "" for none
	Content string
	Context map[string]json.RawMessage // for this question, beside the conversation's
	Model   Preference
	Request hub.CompletionRequest // all but its messages
	Keep    *hub.IdlePolicy       // nil: the answer is made to its end, whether or not anybody is there

	// Following is called with the stream before anything is published about it. It may not use the session.
	Following func(stream string)
}

// longestQuestion is RubberDuck's limit of a message, in characters.
const longestQuestion = 4000

// ContentRequired is why a question without content is refused, as RubberDuck says it.
const ContentRequired = "Message content is required"

// Check checks what is said of a question. Its request is checked by whoever has decoded it.
func (q *Inquiry) Check() error {
	if strings.TrimSpace(q.Content) == "" {
		return errs.Invalid("content", ContentRequired)
	}
	if n := utf8.RuneCountInString(q.Content); n > longestQuestion {
		return errs.Invalid("content", "has %d characters; at most %d are allowed", n, longestQuestion)
	}
	return checkContext(q.Context)
}

// Asked is what has become of an inquiry.
type Asked struct {
	Message   string      // the question's id
	StreamID  string      // of the answer
	Stream    *hub.Stream // nil for a duplicate
	Duplicate bool        // the same user has asked it before under that id, and it is not asked again
}

// Ask puts a question. That ends the one whose answer is still under way: as superseded, with an event.
func (s *Session) Ask(q *Inquiry) (a Asked, err error) {
	err = s.alone(func(r Record) error {
		if q.ID != "" {
			if m := r.find(q.User, q.ID); m != nil && m.Metadata.Stream != "" {
				a = Asked{Message: m.ID, StreamID: m.Metadata.Stream, Duplicate: true}
				return nil
			}
		}
		x := newExchange(s, q)
		if err := s.supersedeLocked(&r, q.User, x.question.ID); err != nil {
			return err
		}
		if err := x.startLocked(q, r); err != nil {
			return err
		}
		a = Asked{Message: x.question.ID, StreamID: x.stream.ID, Stream: x.stream}
		return nil
	})
	return a, err
}

// supersedeLocked ends the answer that is under way, on this node or another, in favour of a user's message.
func (s *Session) supersedeLocked(r *Record, user, message string) error {
	if r.Running == nil {
		return nil
	}
	x, err := s.running(r)
	if err != nil {
		return err
	}
	run := *r.Running
	run.By, r.Running = message, &run
	if err := s.saveLocked(r); err != nil { // whoever tells of the end knows of it
		return err
	}
	if x.stream != nil {
		x.stream.Supersede(user)
	}
	return x.concludeLocked(r)
}

// Question returns the question of that id, or the one whose answer is that stream.
func (s *Session) Question(id, stream string) (*Message, error) {
	r, err := s.Record()
	if err != nil {
		return nil, err
	}
	for i := range r.Messages {
		if q := &r.Messages[i]; q.Role == roleUser && (q.ID == id || q.Metadata.Stream == stream) {
			return q, nil
		}
	}
	return nil, errs.ErrNotFound
}

func newMessageID() string { return "msg_" + ulid.Make().String() }

func newStreamID() string { return "cmp_" + ulid.Make().String() }
