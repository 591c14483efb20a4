package channels

import (
	"cmp"
	"encoding/json"

	"github.com/duckwire/duckwire/hub"
)

// asked is the command that asked for a stream, with what it takes to tell its answer. The stream has it
// (hub.Stream.Asked), so that a client which lost its connection gets the rest of the answer from any node.
type asked struct {
	Event    string         `json:"event"`
	Language string         `json:"language,omitempty"` // generate
	Code     string         `json:"code,omitempty"`     // refactor
	Analysis *analysisInput `json:"analysis,omitempty"` // without the code
}

func (a *asked) encode() json.RawMessage { return encodeJSON(a) }

// askedFor returns the command that asked for a stream. A stream that was not asked for on a channel has none.
func askedFor(s *hub.Stream) *asked {
	a := new(asked)
	_ = json.Unmarshal(s.Asked(), a) // nil, or encode has written it
	return a
}

// completionEvents returns the events of the answer. A client that attached to a stream of another door gets those of
// request_completion.
func (a *asked) completionEvents() completionEvents {
	switch a.Event {
	case "generate":
		return generationEvents(a.Language)
	case "refactor":
		return refactoringEvents(a.Code)
	}
	return requestCompletionEvents
}

// answerID returns the "id" of every event about a stream: the id that the client gave its request, or the stream's.
func answerID(s *hub.Stream) string { return cmp.Or(s.Alias(), s.ID) }
