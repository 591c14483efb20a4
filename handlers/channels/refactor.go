package channels

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/coding"
)

// refactor lets the model rewrite code. The answer's text is sent in chunks; the last event has the new code and its
// differences.
func (a *completions) refactor(ctx context.Context, m *socket.Message) error {
	var p modelParams
	var r coding.Refactoring
	if err := p.decode(m, &p); err != nil {
		return err
	}
	if err := m.Decode(&r); err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return err
	}
	wishes, err := p.options()
	if err != nil {
		return err
	}
	maps.DeleteFunc(wishes, func(name string, _ json.RawMessage) bool { return modelOptions[name] != "" })
	req, err := p.request(hub.ChatCompletion, oneMessage(r.Prompt(wishes)))
	if err != nil {
		return err
	}
	return a.stream(ctx, m, &p, req, &asked{Event: m.Event, Code: r.Code})
}

// refactoringEvents are the events of a new version of this code.
func refactoringEvents(code string) completionEvents {
	r := coding.Refactoring{Code: code}
	return completionEvents{
		done: "refactor_complete", failed: "refactor_error",
		result: func(out map[string]any, s *hub.Stream, e *streamEnd) {
			answer := r.Answer(string(s.State().Text))
			out["refactored_code"], out["explanation"] = answer.Code, answer.Explanation
			out["changes"] = coding.ChangesOf(r.Code, answer.Code)
			out["finish_reason"] = e.FinishReason
		},
	}
}
