package conversation

import (
	"github.com/duckwire/duckwire/hub"
)

// Stage is how far an answer is.
type Stage int

// The stages of an answer; the last three are ends.
const (
	StageStarted Stage = iota // the provider has begun
	StageText                 // the first text is there
	StageDone
	StageCancelled // or superseded
	StageFailed
)

// Progress is that the answer to a question has come to a stage.
type Progress struct {
	Question *Message
	Stage    Stage
	Error    *hub.EndError // of StageFailed; may be nil
}

// progress tells that the answer has come to a stage, unless its end has been told.
func (x *exchange) progress(stage Stage) {
	s := x.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != x.stream.ID {
		return
	}
	if err := x.publishProgress(&Progress{Question: &x.question, Stage: stage}, ""); err != nil {
		s.service.logger.Warn("how an answer gets on is not told", "conversation", s.id, "error", err)
	}
}

// publishProgress publishes a stage on the conversation's status topic, under an id where it must not be told twice. Of
// the engine's own stages the conversation itself hears, too: there they are ephemeral, because they are of no use
// later. The session's mu is locked.
func (x *exchange) publishProgress(p *Progress, id string) error {
	s := x.session
	in := s.service.words.Progress(p)
	in.ID = id
	if err := x.publish(StatusPrefix+s.id, in); err != nil || p.Stage == StageText || p.Stage == StageFailed {
		return err
	}
	in.ID, in.Ephemeral = "", true
	return x.publish(s.topic, in)
}
