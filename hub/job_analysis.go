package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// The entries of an analysis's stream, whether a provider or a worker writes it. Their data are JSON objects.
const (
	EntryProgress     = "analysis_progress"  // {"current","total","file"}: the file that is analysed now
	EntryFileAnalyzed = "file_analyzed"      // {"file","issues"}: how many issues were found in it
	EntryUpdate       = "analysis_update"    // {"type","issues":[Issue …]}
	EntryMetadata     = "analysis_metadata"  // {"unparsed",…}: other facts about the result
	EntrySummary      = "analysis_summary"   // AnalysisSummary; the last one before the end
	EntryRestarted    = "analysis_restarted" // {"attempt","reason"}: another worker begins; earlier entries are void
)

// Limits of one analysis request. Its size is limited by the maximum request body, and by Limits.JobBytes.
const (
	MaxAnalysisFiles = 1000
	maxPath          = 1024
)

// GeneralAnalysis is the default type of an analysis.
const GeneralAnalysis = "general"

// AnalysisFile is one file to analyse.
type AnalysisFile struct {
	Path     string `json:"path"`
	Language string `json:"language,omitempty"` // "": derived from the path's extension
	Code     string `json:"code"`
}

// AnalysisRequest describes an analysis. It must not be changed after the call of Analyze.
type AnalysisRequest struct {
	Type      string          // semantic, style, security, or any other type that a worker handles; "": GeneralAnalysis
	Files     []AnalysisFile  // none: those of Project, which a worker has
	Project   string          // "": none
	Options   json.RawMessage // a JSON object for the analyzer or worker; nil: none
	RequestID string          // sent to the upstream as X-Request-Id; "": the stream's id
	Trace     any             // as in CompletionRequest
}

// Model returns the model that Options name, or "".
func (r *AnalysisRequest) Model() string {
	var options struct{ Model any }
	_ = json.Unmarshal(r.Options, &options) // the zero value if it is not an object
	model, _ := options.Model.(string)
	return model
}

// Bytes returns the size of the files, code and paths.
func (r *AnalysisRequest) Bytes() int64 {
	var n int64
	for i := range r.Files {
		n += int64(len(r.Files[i].Code) + len(r.Files[i].Path))
	}
	return n
}

// check sets the default type, compacts the options, and validates the request. Errors are *FieldError.
func (r *AnalysisRequest) check() error {
	if r.Type == "" {
		r.Type = GeneralAnalysis
	}
	if err := ValidName("type", r.Type); err != nil {
		return err
	}
	if n := len(r.Files); n == 0 && r.Project == "" || n > MaxAnalysisFiles {
		return errs.Invalid("files", "must be 1 to %d files; got %d", MaxAnalysisFiles, n)
	}
	seen := make(map[string]bool, len(r.Files))
	for i := range r.Files {
		field, path := fmt.Sprintf("files[%d].path", i), r.Files[i].Path
		switch {
		case path == "" || len(path) > maxPath:
			return errs.Invalid(field, "must be 1 to %d bytes long; got %d", maxPath, len(path))
		case strings.ContainsFunc(path, unicode.IsControl):
			return errs.Invalid(field, "holds a control character")
		case seen[path]:
			return errs.Invalid(field, "is the path of another file of this request, too")
		}
		seen[path] = true
	}
	if r.Options != nil {
		options, err := compactJSON(r.Options)
		if err != nil || options[0] != '{' {
			return errs.Invalid("options", "must be a JSON object")
		}
		r.Options = options
	}
	return nil
}

// An Analyzer is a Provider that can also run analyses. The hub uses a type assertion to find out.
//
// Analyze reports issues in req to w, and returns when it has reported all; the hub adds the summary. Otherwise it is
// like Provider.Complete.
type Analyzer interface {
	Analyze(ctx context.Context, req *AnalysisRequest, w AnalysisWriter) error
}

// AnalysisWriter writes an analysis to its stream. After an error (ErrClosed: the stream has ended; ErrTooLarge) the
// analyzer should stop and return it.
type AnalysisWriter interface {
	// Accepted says that the analysis has begun. The other methods imply it.
	Accepted()
	// Progress says that the request's file with this index (from 0) is analysed now.
	Progress(index int) error
	// Issues adds issues. Fields that an issue leaves out get defaults (Issue.Normal).
	Issues(found ...Issue) error
	// FileDone says that there are no more issues for the file with this index.
	FileDone(index int) error
	// Metadata adds other facts about the result: a JSON object.
	Metadata(data json.RawMessage) error
}

// Analyze starts an analysis as a new stream (kind "analysis"), or returns the one that the same owner started under
// the same alias with the same digest (attached is true). If a worker for analyses of that type is alive, the analysis
// becomes a job; else the provider runs it, if it is an Analyzer. Nobody needs to wait for the stream.
//
// spec.Owner is required; Kind is set, and ContentType has a default. Errors: ErrUnavailable if there is neither a
// worker nor an Analyzer, ErrClosed while draining, ErrConflict for an id that is in use for something else,
// *LimitError, *FieldError. Later failures end the stream as failed, with code "no_worker" (no worker took the job
// within Limits.JobWait), "worker_lost", "worker_refused", or the provider's.
func (h *Hub) Analyze(req *AnalysisRequest, spec StreamSpec) (s *Stream, attached bool, err error) {
	if err := req.check(); err != nil {
		return nil, false, err
	}
	spec.Kind, spec.requestID = "analysis", req.RequestID
	if spec.ContentType == "" {
		spec.ContentType = "text/plain; charset=utf-8"
	}
	if old := h.streams.aliased(spec.Owner, spec.Alias); old != nil { // even if it could not be run any more
		return sameStream(old, &Stream{Owner: spec.Owner, digest: spec.Digest})
	}
	if h.jobs.hasWorkerAnywhere(req.Type, workerKey{}) {
		return h.jobs.create(req, spec)
	}
	if len(req.Files) == 0 {
		return nil, false, fmt.Errorf("a project whose files are not sent along is analysed by a worker that has "+
			"them, and none has lately asked for analyses of type %q: %w", req.Type, errs.ErrUnavailable)
	}
	if a, ok := h.provider.(Analyzer); ok {
		return h.analyzeHere(a, req, spec)
	}
	return nil, false, fmt.Errorf("no worker has lately asked for analyses of type %q, "+
		"and no provider that analyses is configured; start one with 'duckwire worker -- COMMAND', "+
		"or set DUCKWIRE_UPSTREAM_URL: %w", req.Type, errs.ErrUnavailable)
}

// analyzeHere has this node's provider run an analysis.
func (h *Hub) analyzeHere(a Analyzer, req *AnalysisRequest, spec StreamSpec) (*Stream, bool, error) {
	spec.provided = true
	s, old, err := h.newStream(&spec, nil)
	if err != nil || old {
		return s, old, err
	}
	if req.RequestID == "" { // as in Complete
		named := *req
		named.RequestID = s.ID
		req = &named
	}
	ctx, ok := s.providerContext()
	if !ok {
		return s, false, nil
	}
	s.announce()
	h.background.Go(func() {
		defer s.stop(nil)
		w := &analysisWriter{stream: s, req: req}
		s.endAnalysis(ctx, w, recoverPanic(h.logger, "analysis", func() error { return a.Analyze(ctx, req, w) }))
	})
	return s, false, nil
}

// endAnalysis ends the stream after Analyze has returned err.
func (s *Stream) endAnalysis(ctx context.Context, w *analysisWriter, err error) {
	if err == nil {
		err = w.finish()
	}
	switch {
	case err == nil:
		s.endLocal(StatusDone, Ending{FinishReason: "stop"})
	case ctx.Err() != nil:
		s.endLocal(StatusInterrupted, errServerStopped)
	case errors.Is(err, errs.ErrTooLarge): // not done, because issues are missing
		s.hub.CountLimit(err)
		s.endLocal(StatusFailed, Ending{Error: &EndError{Code: "too_large", Message: err.Error()}, by: "provider"})
	default:
		s.hub.counts.providerError(err)
		s.endLocal(StatusFailed, Ending{Error: endError(err), by: "provider"})
	}
}

// analysisWriter is the AnalysisWriter of one stream.
type analysisWriter struct {
	stream  *Stream
	req     *AnalysisRequest
	summary AnalysisSummary
	found   map[string]int // issues of each file
	done    map[int]bool   // files that are finished
}

func (w *analysisWriter) Accepted() { w.stream.start() }

func (w *analysisWriter) Progress(index int) error {
	return w.entry(EntryProgress, map[string]any{
		"current": index + 1, "total": len(w.req.Files), "file": w.req.Files[index].Path,
	})
}

func (w *analysisWriter) Issues(found ...Issue) error {
	if len(found) == 0 {
		return nil
	}
	issues := make([]Issue, len(found))
	for i := range found {
		issues[i] = found[i].Normal(w.req.Type)
		w.summary.Count(&issues[i])
		if w.found == nil {
			w.found = make(map[string]int)
		}
		w.found[issues[i].File]++
	}
	return w.entry(EntryUpdate, map[string]any{"type": w.req.Type, "issues": issues})
}

func (w *analysisWriter) FileDone(index int) error {
	if w.done[index] {
		return nil
	}
	if w.done == nil {
		w.done = make(map[int]bool)
	}
	w.done[index] = true
	path := w.req.Files[index].Path
	return w.entry(EntryFileAnalyzed, map[string]any{"file": path, "issues": w.found[path]})
}

func (w *analysisWriter) Metadata(data json.RawMessage) error { return w.entry(EntryMetadata, data) }

// finish adds the missing FileDone entries, and the summary.
func (w *analysisWriter) finish() error {
	for i := range w.req.Files {
		if err := w.FileDone(i); err != nil {
			return err
		}
	}
	w.summary.Files = len(w.done)
	return w.entry(EntrySummary, &w.summary)
}

func (w *analysisWriter) entry(name string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return w.stream.addEvent(&log.Event{Kind: log.StreamEvent, Name: name, Data: raw})
}
