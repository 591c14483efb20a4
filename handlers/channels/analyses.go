package channels

import (
	"cmp"
	"context"
	"encoding/json"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/coding"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
)

// analysisInput is what is to be analysed: code, or the project or file that the channel is of.
type analysisInput struct {
	Project  string
	File     string
	Files    []hub.AnalysisFile
	Type     string // semantic, style, security, ast, or any other word
	Code     string
	FilePath string
	Language string
	Context  json.RawMessage
	Options  json.RawMessage
}

// startAnalysis begins an analysis as a stream of the hub's, or returns the one that the same owner began under the
// same alias.
type startAnalysis func(h *hub.Hub, what *analysisInput, spec hub.StreamSpec) (*hub.Stream, error)

// analyze hands what was asked for to the hub: to a worker, or to the provider.
func analyze(h *hub.Hub, what *analysisInput, spec hub.StreamSpec) (*hub.Stream, error) {
	req := &hub.AnalysisRequest{Type: what.Type, Project: what.Project, Files: what.Files}
	if !jsonw.IsNull(what.Options) {
		req.Options = what.Options
	}
	if what.Code != "" {
		req.Files = append(req.Files, hub.AnalysisFile{Path: what.path(), Language: what.Language, Code: what.Code})
	}
	s, _, err := h.Analyze(req, spec)
	return s, err
}

// path is the file's name, or RubberDuck's for code that has none.
func (a *analysisInput) path() string { return cmp.Or(a.FilePath, a.File, "temp_file") }

// analyses are what one client has asked to be analysed on one channel.
type analyses struct {
	c        *socket.Channel
	begin    startAnalysis
	followed followed
}

func newAnalyses(c *socket.Channel, begin startAnalysis) *analyses {
	return &analyses{c: c, begin: begin}
}

// start analyses what the channel is of: the files that the client sends along, or those that a worker has of the
// project.
func (a *analyses) start(ctx context.Context, m *socket.Message, events analysisEvents) error {
	var p struct {
		modelParams
		Type  string             `json:"type"`
		Files []hub.AnalysisFile `json:"files"`
	}
	if err := m.Decode(&p); err != nil {
		return err
	}
	return a.stream(ctx, m, &p.modelParams, &analysisInput{Type: p.Type, Files: p.Files, Options: p.Options}, events)
}

// ofCode analyses code that the client sends. file_type is the first generation's word for language.
func (a *analyses) ofCode(ctx context.Context, m *socket.Message, events analysisEvents) error {
	var p struct {
		modelParams
		Code     *string         `json:"code"`
		Type     string          `json:"type"`
		FilePath string          `json:"file_path"`
		FileType string          `json:"file_type"`
		Language string          `json:"language"`
		Context  json.RawMessage `json:"context"`
	}
	if err := m.Decode(&p); err != nil {
		return err
	}
	if p.Code == nil {
		return errs.Invalid("code", "is missing")
	}
	if p.Type == "" {
		p.Type = "general"
	}
	if p.Language == "" {
		p.Language = p.FileType
	}
	return a.stream(ctx, m, &p.modelParams, &analysisInput{
		Type: p.Type, Code: *p.Code, FilePath: p.FilePath, Language: coding.LanguageOf(p.Language, p.FilePath), Context: p.Context, Options: p.Options,
	}, events)
}

// stream begins an analysis, answers with its id, and pushes what it finds.
func (a *analyses) stream(ctx context.Context, m *socket.Message, p *modelParams, what *analysisInput, events analysisEvents) error {
	if err := a.c.Authorize(ctx, a.c.Topic(), rights.ActionComplete); err != nil {
		return err
	}
	scope, id := scopeOf(a.c.Topic())
	switch scope {
	case "project":
		what.Project = id
	case "file":
		what.File = id
	}
	after, err := p.position()
	if err != nil {
		return err
	}
	req, err := p.request(hub.TextCompletion, map[string]any{"prompt": "", "analysis": what}) // checks what the two kinds of request share
	if err != nil {
		return err
	}
	s, err := a.begin(a.c.Hub(), what, req.Spec("analysis", a.c.User(), hub.Keep{CancelAfter: reconnectTime}))
	if err != nil {
		return err
	}
	resume, err := resumeOf(s, p, after)
	if err != nil {
		return err
	}
	m.Reply(struct {
		Analysis string `json:"analysis_id"`
		Request  string `json:"request_id"`
		resumed
	}{s.ID, s.ID, resume}) // before the first finding
	if !a.followed.add(s.ID) {
		return nil
	}
	t := &analysisRenderer{stream: s, what: what, events: events, over: func() { a.followed.remove(s.ID) }}
	if jsonw.IsNull(p.After) {
		a.c.Push("analysis_started", t.open(log.Position{}))
	}
	_, err = a.c.Follow(s, after, t.render)
	return err
}
