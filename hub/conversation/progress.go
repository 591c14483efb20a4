package conversation

import (
	"github.com/duckwire/duckwire/hub"
)

// Stage is a stage of an answer.
type Stage int

// The stages of an answer. The last three are final.
const (
	StageStarted Stage = iota // the provider has begun
	StageText                 // the first text has arrived
	StageDone
	StageCancelled // or superseded
	StageFailed
)

// Progress says that the answer to a question has reached a stage.
type Progress struct {
	Question *Message
	Stage    Stage
	Error    *hub.EndError // of StageFailed; may be nil
}

// progress publishes that the answer has reached a stage, unless its end was published.
func (x *exchange) progress(stage Stage) {
	s := x.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != x.stream.ID {
		return
	}
	if err := x.publishProgress(&Progress{Question: &x.question, Stage: stage}, ""); err != nil {
		s.service.logger.Warn("the progress of an answer could not be published", "conversation", s.id, "error", err)
	}
}

// publishProgress publishes a stage on the conversation's status topic. With an id it is not published twice. Stages
// other than StageText and StageFailed are also published on the conversation's own topic, as ephemeral events, since
// they are of no use later. The caller holds the session's mu.
func (x *exchange) publishProgress(p *Progress, id string) error {
	s := x.session
	in := s.service.vocabulary.Progress(p)
	in.ID = id
	if err := x.publish(StatusPrefix+s.id, in); err != nil || p.Stage == StageText || p.Stage == StageFailed {
		return err
	}
	in.ID, in.Ephemeral = "", true
	return x.publish(s.topic, in)
}
