package conversation

import (
	"github.com/duckwire/duckwire/hub"
)

// A Vocabulary says in which words clients hear of what happens in a conversation: it names the events and encodes
// their payloads. Where, when and under which id they are published is not its matter. Its methods keep nothing of what
// they get.
type Vocabulary interface {
	// Question is that a question was asked.
	Question(q *Message) hub.EventInput
	// Answered, Cancelled and Failed are how the answer to one ended. Cancelled ones may be superseded.
	Answered(e *Ending) hub.EventInput
	Cancelled(e *Ending) hub.EventInput
	Failed(e *Ending) hub.EventInput
	// Progress is how an answer gets on.
	Progress(p *Progress) hub.EventInput
	// Reset is that the conversation has begun anew.
	Reset(r *Record) hub.EventInput
	// ContextChanged is that the conversation's context is another one.
	ContextChanged(r *Record) hub.EventInput
}
