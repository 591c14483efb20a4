package pool

import (
	"context"
	"encoding/json"

	"github.com/duckwire/duckwire/hub"
)

// Analyze asks the members that serve the model of the options until one reports something. Errors: as of Complete.
func (p *Pool) Analyze(ctx context.Context, req *hub.AnalysisRequest, w hub.AnalysisWriter) error {
	var options struct{ Model any }
	_ = json.Unmarshal(req.Options, &options) // the zero value if it is not an object
	model, _ := options.Model.(string)
	r, err := p.newRound(model, req.RequestID)
	if err != nil {
		return err
	}
	progress := -1
	return r.run(ctx, func(u Upstream, answers func()) (bool, error) {
		report := &analysisWriter{to: w, progress: &progress, answers: answers}
		err := u.Analyze(ctx, req, report)
		if err != nil && report.err != nil {
			err = &ownError{err}
		}
		return report.begun, err
	})
}

// analysisWriter passes one member's report on. Before its first result it leaves no trace but the progress, which is
// passed on once for all members.
type analysisWriter struct {
	to       hub.AnalysisWriter
	progress *int // index of the last file that was passed on
	answers  func()
	begun    bool
	err      error // of the stream
}

func (w *analysisWriter) begin() {
	if !w.begun {
		w.begun = true
		w.answers()
	}
}

func (w *analysisWriter) keep(err error) error {
	if err != nil {
		w.err = err
	}
	return err
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
