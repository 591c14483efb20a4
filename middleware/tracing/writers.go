//go:build otlp

package tracing

import (
	"encoding/json"

	"go.opentelemetry.io/otel/trace"

	"github.com/duckwire/duckwire/hub"
)

// spanEvents adds events to a span: when the job was accepted, and its first result.
type spanEvents struct {
	span            trace.Span
	accepted, first bool
}

func (f *spanEvents) accept() {
	if !f.accepted {
		f.accepted = true
		f.span.AddEvent("accepted")
	}
}

func (f *spanEvents) result(what string) {
	f.accept()
	if !f.first {
		f.first = true
		f.span.AddEvent(what)
	}
}

// completionWriter observes a completion.
type completionWriter struct {
	hub.CompletionWriter
	spanEvents
	bytes  int
	reason string
}

func (w *completionWriter) Accepted() {
	w.accept()
	w.CompletionWriter.Accepted()
}

func (w *completionWriter) Text(text string) error {
	if text != "" {
		w.result("first token")
		w.bytes += len(text)
	}
	return w.CompletionWriter.Text(text)
}

func (w *completionWriter) Chunk(raw json.RawMessage, text string) error {
	w.result("first token")
	w.bytes += len(text)
	return w.CompletionWriter.Chunk(raw, text)
}

func (w *completionWriter) Whole(raw json.RawMessage, text string) error {
	w.result("first token")
	w.bytes += len(text)
	return w.CompletionWriter.Whole(raw, text)
}

func (w *completionWriter) Finish(f hub.Finish) {
	w.accept()
	w.reason = f.Reason
	w.CompletionWriter.Finish(f)
}

// analysisWriter observes an analysis.
type analysisWriter struct {
	hub.AnalysisWriter
	spanEvents
	issues int
}

func (w *analysisWriter) Accepted() {
	w.accept()
	w.AnalysisWriter.Accepted()
}

func (w *analysisWriter) Progress(index int) error {
	w.accept()
	return w.AnalysisWriter.Progress(index)
}

func (w *analysisWriter) Issues(found ...hub.Issue) error {
	if len(found) > 0 {
		w.result("first issue")
		w.issues += len(found)
	}
	return w.AnalysisWriter.Issues(found...)
}
