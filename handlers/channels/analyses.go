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

// analysisInput is what to analyse: code, or the project or file of the channel's topic.
type analysisInput struct {
	Project  string
	File     string
	Files    []hub.AnalysisFile
	Type     string // semantic, style, security, ast, or any other type
	Code     string
	FilePath string
	Language string
	Context  json.RawMessage
	Options  json.RawMessage
}

// startAnalysis starts an analysis as a stream of the hub, or returns the one that the same owner started under the
// same alias.
type startAnalysis func(h *hub.Hub, what *analysisInput, spec hub.StreamSpec) (*hub.Stream, error)

// analyze starts an analysis in the hub, which assigns it to a worker or to the provider.
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

// path returns the file's name, or RubberDuck's name for code without a file.
func (a *analysisInput) path() string { return cmp.Or(a.FilePath, a.File, "temp_file") }

// withoutCode returns the input with what its answer repeats, but not the code.
func (a *analysisInput) withoutCode() *analysisInput {
	return &analysisInput{Project: a.Project, File: a.File, Type: a.Type, FilePath: a.FilePath, Language: a.Language}
}

// analyses are the analyses that one client requested on one channel.
type analyses struct {
	c        *socket.Channel
	begin    startAnalysis
	events   map[string]analysisEvents // how the channel's commands are answered
	followed followed
}

func newAnalyses(c *socket.Channel, begin startAnalysis, events map[string]analysisEvents) *analyses {
	return &analyses{c: c, begin: begin, events: events}
}

// start analyses the channel's project or file: the files that the client sends, or those of the project that a worker
// has.
func (a *analyses) start(ctx context.Context, m *socket.Message) error {
	var p struct {
		modelParams
		Type  string             `json:"type"`
		Files []hub.AnalysisFile `json:"files"`
	}
	if err := p.decode(m, &p); err != nil {
		return err
	}
	return a.stream(ctx, m, &p.modelParams, &analysisInput{Type: p.Type, Files: p.Files, Options: p.Options})
}

// ofCode analyses code that the client sends. file_type is the first generation's name for language.
func (a *analyses) ofCode(ctx context.Context, m *socket.Message) error {
	var p struct {
		modelParams
		Code     *string         `json:"code"`
		Type     string          `json:"type"`
		FilePath string          `json:"file_path"`
		FileType string          `json:"file_type"`
		Language string          `json:"language"`
		Context  json.RawMessage `json:"context"`
	}
	if err := p.decode(m, &p); err != nil {
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
		Type: p.Type, Code: *p.Code, FilePath: p.FilePath, Language: coding.LanguageOf(p.Language, p.FilePath),
		Context: p.Context, Options: p.Options,
	})
}

// stream starts an analysis, replies with its id, and pushes its results.
func (a *analyses) stream(
	ctx context.Context, m *socket.Message, p *modelParams, what *analysisInput,
) error {
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
	body := map[string]any{"prompt": "", "analysis": what}
	req, err := p.request(hub.TextCompletion, body) // validates the common parameters
	if err != nil {
		return err
	}
	spec := req.Spec("analysis", a.c.Identity(), hub.IdlePolicy{CancelAfter: reconnectTime})
	spec.Asked = (&asked{Event: m.Event, Analysis: what.withoutCode()}).encode()
	s, err := a.begin(a.c.Hub(), what, spec)
	if err != nil {
		return err
	}
	resume, err := resumeOf(s, p, after)
	if err != nil {
		return err
	}
	reply := analysisReply{answerID(s), s.ID, s.ID, resume}
	if !a.followed.add(s.ID) {
		m.Reply(reply)
		return nil
	}
	t := a.renderer(s, what, a.events[m.Event])
	_, err = a.c.Follow(socket.Following{Stream: s, Render: t.render, Begin: func() (out socket.Outgoing) {
		m.Reply(reply)
		if jsonw.IsNull(p.After) || a.c.Positions() {
			out = outgoing("analysis_started", t.open(log.Position{}))
		}
		return out
	}}, after)
	return a.followed.unless(s.ID, err)
}

// analysisReply is the reply to an event that started an analysis.
type analysisReply struct {
	ID       string `json:"id"` // as in the events of the answer
	Analysis string `json:"analysis_id"`
	Request  string `json:"request_id"`
	resumed
}

func (a *analyses) renderer(s *hub.Stream, what *analysisInput, events analysisEvents) *analysisRenderer {
	return &analysisRenderer{stream: s, what: what, events: events, over: func() { a.followed.remove(s.ID) }}
}

// goOn continues an analysis that the client followed before its connection was cut.
func (a *analyses) goOn(s *hub.Stream, from log.Place) error {
	a.followed.keep(s.ID)
	was := askedFor(s)
	what := was.Analysis
	if what == nil { // it was started at another door
		what = new(analysisInput)
	}
	events, known := a.events[was.Event]
	if !known {
		events = analysisEvents{last: projectEndEvents}
	}
	t := a.renderer(s, what, events)
	return a.c.Continue(socket.Following{Stream: s, Render: t.render}, from)
}
