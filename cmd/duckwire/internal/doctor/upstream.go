package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/openai"
)

// Upstream is one of the upstreams of the configuration.
type Upstream struct {
	Name    string // "": the one of upstream_url
	Options openai.Options
}

func (u *Upstream) check() string { return strings.TrimSpace("upstream " + u.Name) }

// setting returns the name of one of the upstream's settings, for advice.
func (u *Upstream) setting(key string) string {
	if u.Name == "" {
		return "upstream_" + key
	}
	return key + " of " + u.Name + " in upstreams"
}

// checkUpstreams checks each upstream by itself.
func (l *Local) checkUpstreams(ctx context.Context, r *Report, client *http.Client) {
	if len(l.Upstreams) == 0 {
		r.Fine("upstream", "none: the built-in completer answers")
	}
	for i := range l.Upstreams {
		l.checkUpstream(ctx, r, client, &l.Upstreams[i])
	}
}

// checkUpstream requests an upstream's models and, with Deep, a completion of one token.
func (l *Local) checkUpstream(ctx context.Context, r *Report, client *http.Client, u *Upstream) {
	check, o := u.check(), &u.Options
	if isPlain(o.BaseURL) && o.Key != "" {
		r.Warn(check, "use https in "+u.setting("url"), "its key and people's code go to it over plain http")
	}
	models, err := fetchModels(ctx, client, o.BaseURL, o.Key)
	var refused *refusedError
	switch {
	case errors.As(err, &refused) &&
		(refused.status == http.StatusUnauthorized || refused.status == http.StatusForbidden):
		r.Broken(check, "set "+u.setting("key")+" to a key that it takes", "it refuses the key: %v", err)
		return
	case errors.As(err, &refused) && refused.status == http.StatusNotFound:
		r.Warn(check, "see whether "+u.setting("url")+" is right: it usually ends in /v1; "+
			"without a list, clients must know its models", "it has no list of models: %v", err)
	case err != nil:
		r.Broken(check, "start it, or see whether "+u.setting("url")+" is right, and reachable from here", "%v",
			withoutURL(err))
		return
	case o.Model != "" && !slices.Contains(models, o.Model):
		r.Broken(check, "set "+u.setting("model")+" to one of its models: "+clipList(models), "it has no model %q",
			o.Model)
	case len(models) == 0:
		r.Broken(check, "load a model there", "it has no models")
	default:
		r.Fine(check, "it answers, with %d models", len(models))
	}
	l.tryCompletion(ctx, r, u, models)
}

// fetchModels requests the upstream's models directly. The provider's list would hide a failure, because it contains
// the configured model.
func fetchModels(ctx context.Context, client *http.Client, base, key string) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(base, "/")+"/models", nil)
	if err != nil {
		return nil, err
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if resp.StatusCode != http.StatusOK {
		return nil, &refusedError{resp.StatusCode, string(body)}
	}
	if err != nil {
		return nil, err
	}
	list, err := openai.DecodeModels(body)
	if err != nil {
		return nil, errors.New("its list of models is not in OpenAI's form; is its URL right?")
	}
	var models []string
	for _, m := range list {
		models = append(models, m.ID)
	}
	return models, nil
}

// tryCompletion requests a completion of one token through the provider, as the server does, and reports what that
// showed of the upstream.
func (l *Local) tryCompletion(ctx context.Context, r *Report, u *Upstream, models []string) {
	check := u.check()
	if !l.Deep {
		r.Skip(check, "no completion was asked for (--deep does)")
		return
	}
	model := u.Options.Model
	if model == "" && len(models) > 0 {
		model = models[0]
	}
	p, err := openai.New(u.Options)
	if err != nil {
		r.Broken(check, "see its settings", "%v", err)
		return
	}
	defer p.Close()
	began, first := time.Now(), &firstText{}
	err = p.Complete(ctx, tinyChat(model), first)
	if err != nil {
		r.Broken(check, "see what the upstream's own log says", "a completion of one token by %s fails: %v", model, err)
		return
	}
	r.Fine(check, "%s completes; the first token came after %s", model, first.after(began).Round(time.Millisecond))
	if learned := p.Learned(); len(learned) > 0 {
		r.Fine(check, "learned: %s", strings.Join(learned, ", "))
	}
}

func tinyChat(model string) *hub.CompletionRequest {
	name, _ := json.Marshal(model)
	return &hub.CompletionRequest{
		Kind: hub.ChatCompletion, Model: model, MaxTokens: 1,
		Messages: []hub.Message{{Role: "user", Content: "Say yes."}},
		Body: map[string]json.RawMessage{
			"model": name, "max_tokens": json.RawMessage("1"),
			"stream": json.RawMessage("true"), "messages": json.RawMessage(`[{"role":"user","content":"Say yes."}]`),
		},
	}
}

// firstText is a hub.CompletionWriter that records when the text began.
type firstText struct{ at time.Time }

func (f *firstText) note() {
	if f.at.IsZero() {
		f.at = time.Now()
	}
}

func (f *firstText) after(began time.Time) time.Duration {
	f.note() // in case of an answer without text
	return f.at.Sub(began)
}

func (f *firstText) Accepted()                               {}
func (f *firstText) Describe(hub.CompletionInfo)             {}
func (f *firstText) Finish(hub.Finish)                       {}
func (f *firstText) Text(string) error                       { f.note(); return nil }
func (f *firstText) Chunk(_ json.RawMessage, _ string) error { f.note(); return nil }
func (f *firstText) Whole(_ json.RawMessage, _ string) error { f.note(); return nil }

// refusedError is a response with an error status.
type refusedError struct {
	status int
	body   string
}

func (e *refusedError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", e.status, http.StatusText(e.status), clipText(e.body)))
}

// clipText reduces another server's text to one line of limited length.
func clipText(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 200 {
		return strings.ToValidUTF8(text[:200], "") + "…"
	}
	return strings.ToValidUTF8(text, "")
}

func clipList(list []string) string {
	if len(list) > 10 {
		return strings.Join(list[:10], ", ") + ", …"
	}
	return strings.Join(list, ", ")
}
