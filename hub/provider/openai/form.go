package openai

import (
	"cmp"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// form is one way to put a request to the upstream.
type form struct {
	path    string // see Provider.url
	stream  bool   // ask for a stream; false: the client's member "stream" is sent as it is, or false
	options bool   // ask for the usage, in stream_options
	fim     FIM    // how the suffix is sent: Suffix, or a template
	few     bool   // of a template's stop strings, only as many as OpenAI allows
}

// firstForm returns the form of the first try: as the client asked, but for what the upstream is known to refuse.
func (p *Provider) firstForm(req *hub.CompletionRequest) form {
	l := &p.learned
	l.mu.Lock()
	defer l.mu.Unlock()
	f := form{path: chatPath, fim: Suffix}
	f.stream = !req.Whole && (wantsStream(req) || !l.noStreaming[p.modelOf(req)])
	f.options = f.stream && !l.noStreamOptions
	if req.Kind != hub.TextCompletion {
		return f
	}
	f.path = cmp.Or(l.textPath, p.dialect.textPath, textPath)
	if f.fim = p.fimOf(req, l.noSuffix[p.modelOf(req)]); f.fim != Suffix {
		f.few = l.fewStops[p.modelOf(req)]
		f.rendered(l, p.modelOf(req))
	} else if req.FIM || req.HasSuffix {
		f.path = cmp.Or(l.textPath, p.dialect.fimPath, f.path)
	}
	return f
}

// rendered has a form with a template ask for a stream, in which the markers can be cut off (see cutter), unless the
// model is known to refuse that. l is locked.
func (f *form) rendered(l *learned, model string) {
	if f.fim != Suffix && !f.stream && !l.noStreaming[model] {
		f.stream, f.options = true, !l.noStreamOptions
	}
}

// fimOf returns how the suffix is sent: Suffix, or a template.
func (p *Provider) fimOf(req *hub.CompletionRequest, refused bool) FIM {
	how := p.opts.FIM
	if how == AutoFIM {
		how = Suffix
		if refused {
			how = ByModel
		}
	}
	if how == ByModel {
		how = templateOf(p.modelOf(req))
	}
	if how == "" || !req.HasSuffix || !isOneText(req) {
		return Suffix
	}
	return how
}

// isOneText reports whether the prompt is one text: a template can only be rendered with one.
func isOneText(req *hub.CompletionRequest) bool {
	raw := req.Body["prompt"]
	return req.Prompt != "" || len(raw) == 0 || raw[0] == '"'
}

// wantsStream reports whether the client itself asked for a stream.
func wantsStream(req *hub.CompletionRequest) bool { return string(req.Body["stream"]) == "true" }

// wantsUsage reports whether the client itself asked for the usage.
func wantsUsage(req *hub.CompletionRequest) bool {
	return string(jsonw.Member(req.Body["stream_options"], "include_usage")) == "true"
}

// modelOf returns the model that the upstream is asked for.
func (p *Provider) modelOf(req *hub.CompletionRequest) string {
	if p.opts.Model != "" && hub.NamesNoModel(req.Model) {
		return p.opts.Model
	}
	return req.Model
}
