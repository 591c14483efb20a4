package channels

import (
	"context"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/coding"
)

// generate lets the model write code from a description. The answer's text is sent in chunks; the last event has the
// code alone.
func (a *completions) generate(ctx context.Context, m *socket.Message) error {
	var p modelParams
	var g coding.Generation
	if err := p.decode(m, &p); err != nil {
		return err
	}
	if err := m.Decode(&g); err != nil {
		return err
	}
	if err := g.Check(); err != nil {
		return err
	}
	req, err := p.request(hub.ChatCompletion, oneMessage(g.Prompt()))
	if err != nil {
		return err
	}
	return a.stream(ctx, m, &p, req, &asked{Event: m.Event, Language: g.Language})
}

// generationEvents are the events of generated code in this language.
func generationEvents(language string) completionEvents {
	return completionEvents{
		done: "generation_complete", failed: "generation_error",
		result: func(out map[string]any, s *hub.Stream, e *streamEnd) {
			answer := coding.ReadAnswer(string(s.State().Text))
			out["code"], out["language"], out["explanation"] = answer.Code, language, answer.Explanation
			// The code includes its imports, and no alternatives were requested.
			out["imports"], out["alternatives"] = []string{}, []string{}
			out["finish_reason"] = e.FinishReason
		},
	}
}
