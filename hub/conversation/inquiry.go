package conversation

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// Inquiry is a client's request to ask a question.
type Inquiry struct {
	User    string
	Key     string // the server that asks, for itself or for User; see hub.StreamSpec
	Client  string // the client that asks, which does not get the question's event; "": none
	ID      string // an id of the user's own, for idempotency; "": none
	Content string
	Context map[string]json.RawMessage // added to the conversation's for this question
	Model   Preference
	Request hub.CompletionRequest // without its messages
	Keep    *hub.IdlePolicy       // nil: the answer is completed even if nobody reads it

	// Following is called with the answer's stream before anything is published about it. It must not use the session.
	Following func(stream string)
}

// maxQuestionLength is RubberDuck's limit of a message, in characters.
const maxQuestionLength = 4000

// ContentRequired is the reason for refusing a question without content, in RubberDuck's words.
const ContentRequired = "Message content is required"

// Check validates the inquiry, except for its Request, which the caller that decoded it must validate.
func (q *Inquiry) Check() error {
	if strings.TrimSpace(q.Content) == "" {
		return errs.Invalid("content", ContentRequired)
	}
	if n := utf8.RuneCountInString(q.Content); n > maxQuestionLength {
		return errs.Invalid("content", "has %d characters; at most %d are allowed", n, maxQuestionLength)
	}
	return checkContext(q.Context)
}

// Asked is the result of an inquiry.
type Asked struct {
	Message   string      // the question's id
	StreamID  string      // the answer's stream
	Stream    *hub.Stream // nil for a duplicate
	Duplicate bool        // the user has asked before with this id, so the question was not asked again
}

// Ask asks a question. An answer that is still running is superseded, and its end is published. Errors: ErrConflict if
// the user has asked another question with the id.
func (s *Session) Ask(q *Inquiry) (a Asked, err error) {
	err = s.withLock(func(r Record) error {
		if q.ID != "" {
			if m := r.find(q.User, q.ID); m != nil && m.Metadata.Stream != "" {
				if m.Content != q.Content {
					return &errs.FieldError{
						Field: "id", Kind: errs.ErrConflict, Reason: "you have used it for another question",
					}
				}
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

// supersedeLocked ends the running answer, on this node or another, because of a newer message of a user.
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
	if err := s.saveLocked(r); err != nil { // first, so that whichever node publishes the end knows the reason
		return err
	}
	if x.stream != nil {
		x.stream.Supersede(user)
	}
	return x.concludeLocked(r)
}

// Question returns the question with the id, or the one whose answer is the stream.
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
