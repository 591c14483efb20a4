package pool

import (
	"context"
	"encoding/json"

	"github.com/duckwire/duckwire/hub"
)

// Analyze asks the members that serve the model of the options until one reports something. Errors: as of Complete.
func (p *Pool) Analyze(ctx context.Context, req *hub.AnalysisRequest, w hub.AnalysisWriter) error {
	r, err := p.newRound(req.Model(), req.RequestID)
	if err != nil {
		return err
	}
	progress := -1
	return r.run(ctx, func(u Upstream, answers func()) (bool, error) {
		report := &analysisWriter{relay: relay{answers: answers}, to: w, progress: &progress}
		return report.outcome(u.Analyze(ctx, req, report))
	})
}

// analysisWriter passes one member's report on. Before its first result it leaves no trace but the progress, which is
// passed on once for all members.
type analysisWriter struct {
	relay
	to       hub.AnalysisWriter
	progress *int // index of the last file that was passed on
}

func (w *analysisWriter) Accepted() { w.to.Accepted() }

func (w *analysisWriter) Progress(index int) error {
	if index <= *w.progress {
		return nil
	}
	*w.progress = index
	return w.keep(w.to.Progress(index))
}

func (w *analysisWriter) Issues(found ...hub.Issue) error {
	w.begin()
	return w.keep(w.to.Issues(found...))
}

func (w *analysisWriter) FileDone(index int) error {
	w.begin()
	return w.keep(w.to.FileDone(index))
}

func (w *analysisWriter) Metadata(data json.RawMessage) error {
	w.begin()
	return w.keep(w.to.Metadata(data))
}
