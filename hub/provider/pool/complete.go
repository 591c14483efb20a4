package pool

import (
	"context"
	"encoding/json"

	"github.com/duckwire/duckwire/hub"
)

// Complete asks the members that serve the model until one begins to answer.
//
// Errors: those of the members' Complete. If all fail, it is the first that has an upstream's words. A member that
// fails after its first token is not replaced. A *hub.ProviderError "model_not_found" says that no member serves the
// model.
func (p *Pool) Complete(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
	r, err := p.newRound(req.Model, req.RequestID)
	if err != nil {
		return err
	}
	accepted := false
	return r.run(ctx, func(u Upstream, answers func()) (bool, error) {
		answer := &completionWriter{relay: relay{answers: answers}, to: w, accepted: &accepted}
		return answer.outcome(u.Complete(ctx, req, answer))
	})
}

// completionWriter passes one member's answer on. Until the answer begins, it leaves no trace but Accepted, which is
// passed on once for all members.
type completionWriter struct {
	relay
	to       hub.CompletionWriter
	accepted *bool
	info     *hub.CompletionInfo // the first Describe
}

// begin passes on what was held back.
func (w *completionWriter) begin() {
	if w.relay.begin() && w.info != nil {
		w.to.Describe(*w.info)
	}
}

func (w *completionWriter) Accepted() {
	if !*w.accepted {
		*w.accepted = true
		w.to.Accepted()
	}
}

func (w *completionWriter) Describe(info hub.CompletionInfo) {
	if w.info == nil {
		w.info = &info
		if w.begun {
			w.to.Describe(info)
		}
	}
}

func (w *completionWriter) Text(text string) error {
	if text == "" {
		return nil
	}
	w.begin()
	return w.keep(w.to.Text(text))
}

func (w *completionWriter) Chunk(raw json.RawMessage, text string) error {
	w.begin()
	return w.keep(w.to.Chunk(raw, text))
}

func (w *completionWriter) Whole(raw json.RawMessage, text string) error {
	w.begin()
	return w.keep(w.to.Whole(raw, text))
}

func (w *completionWriter) Finish(f hub.Finish) {
	w.begin()
	w.to.Finish(f)
}
