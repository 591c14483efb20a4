package conversation

import (
	"github.com/duckwire/duckwire/hub"
)

// A Vocabulary names the events of a conversation and encodes their payloads. It does not decide where, when and with
// which id they are published. Its methods must not keep their arguments.
type Vocabulary interface {
	// Question returns the event of a new question.
	Question(q *Message) hub.EventInput
	// Answered, Cancelled and Failed return the event of an answer's end. Cancelled includes superseded answers.
	Answered(e *Ending) hub.EventInput
	Cancelled(e *Ending) hub.EventInput
	Failed(e *Ending) hub.EventInput
	// Progress returns the event of a stage of an answer.
	Progress(p *Progress) hub.EventInput
	// Reset returns the event of Session.Reset.
	Reset(r *Record) hub.EventInput
	// ContextChanged returns the event of a changed context.
	ContextChanged(r *Record) hub.EventInput
}
