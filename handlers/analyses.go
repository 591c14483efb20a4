package handlers

import (
	"encoding/json"
	"net/http"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/middleware/ratelimit"
	"github.com/duckwire/duckwire/middleware/tracing"
)

// analysisBody is the body of POST /v1/analyses: files, or a single file as members of the body.
type analysisBody struct {
	ID        string             `json:"id"`
	Topic     string             `json:"topic"`
	Type      string             `json:"type"`
	Files     []hub.AnalysisFile `json:"files"`
	Path      string             `json:"path"`
	Language  string             `json:"language"`
	Code      *string            `json:"code"`
	Project   string             `json:"project"`
	Options   json.RawMessage    `json:"options"`
	Keep      json.RawMessage    `json:"keep"`
	Slot      string             `json:"slot"`
	Supersede hub.Supersede      `json:"supersede"`
}

// startAnalysis starts an analysis, or attaches to the one of the same id and request. It answers 202 at once; the
// stream has the results.
func (s *server) startAnalysis(w http.ResponseWriter, r *http.Request) error {
	raw, err := s.readBody(r)
	if err != nil {
		return err
	}
	var body analysisBody
	if err := decodeStrict(raw, &body, ""); err != nil {
		return err
	}
	if body.ID == "" {
		body.ID = r.Header.Get("Idempotency-Key")
	}
	spec, err := body.spec()
	if err != nil {
		return err
	}
	req, err := body.request()
	if err != nil {
		return err
	}
	if err := s.mayComplete(r, body.Topic); err != nil {
		return err
	}
	if err := s.takeRate(r, ratelimit.Heavy, 1); err != nil {
		return err
	}
	id := auth.IdentityFrom(r.Context())
	spec = ownedBy(id, spec)
	spec.Digest = digest("analysis", string(raw))
	req.RequestID, req.Trace = middleware.RequestIDFrom(r.Context()), tracing.Of(r.Context())
	stream, _, err := s.hub.Analyze(req, spec)
	if err != nil {
		return err
	}
	setStreamHeaders(w, r, stream)
	writeJSON(w, http.StatusAccepted, viewStreamNow(stream))
	return nil
}

// request returns the analysis that the body asks for.
func (b *analysisBody) request() (*hub.AnalysisRequest, error) {
	files := b.Files
	if b.Code != nil {
		if len(files) > 0 {
			return nil, errs.Invalid("code", "stands in place of files; give one of the two")
		}
		path := b.Path
		if path == "" {
			path = "untitled"
		}
		files = []hub.AnalysisFile{{Path: path, Language: b.Language, Code: *b.Code}}
	}
	if string(b.Options) == "null" {
		b.Options = nil
	}
	return &hub.AnalysisRequest{Type: b.Type, Files: files, Project: b.Project, Options: b.Options}, nil
}

func (b *analysisBody) spec() (hub.StreamSpec, error) {
	spec := hub.StreamSpec{Alias: b.ID, Topic: b.Topic, Slot: b.Slot, Supersede: b.Supersede}
	for _, name := range []struct{ field, text string }{{"id", b.ID}, {"slot", b.Slot}} {
		if name.text == "" {
			continue
		}
		if err := hub.ValidName(name.field, name.text); err != nil {
			return spec, err
		}
	}
	switch b.Supersede {
	case "", hub.SupersedeStop, hub.SupersedeFinish:
	default:
		return spec, errs.Invalid("supersede", `must be "stop" or "finish"; got %q`, clip(string(b.Supersede)))
	}
	var err error
	spec.Idle, err = parseKeep(b.Keep)
	return spec, err
}
