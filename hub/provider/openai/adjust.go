package openai

import (
	"net/http"
	"slices"
	"strings"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// refused is a refusal, with what decides about a retry.
type refused struct {
	*hub.ProviderError
	status int    // the upstream's status; 0: no connection
	words  string // the upstream's, in lower case
}

func (e *refused) Unwrap() error { return e.ProviderError }

// mentions reports whether the upstream's words contain one of the given ones.
func (e *refused) mentions(words ...string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(e.words, word) })
}

// mentionsStreaming reports whether the upstream's words are about streaming, and not about its options.
func (e *refused) mentionsStreaming() bool {
	return strings.Contains(strings.ReplaceAll(e.words, "stream_options", ""), "stream")
}

// adjustment is another form for a request whose first one was refused.
type adjustment struct {
	form
	of    subject
	learn fact // to be remembered if the upstream accepts the form; nil: nothing
}

// subject is what an adjustment is about. A request is adjusted at most once for each.
type subject uint8

const (
	theOptions subject = iota + 1
	theStreaming
	thePath
	theSuffix
	theStops
)

// adjust returns another form for a request, if the refusal is about something that the client did not ask for.
func (p *Provider) adjust(f form, req *hub.CompletionRequest, r *refused) (next adjustment, ok bool) {
	next.form = f
	switch {
	case f.options && r.mentions("stream_options", "include_usage"):
		next.of, next.options = theOptions, false
		if req.Body["stream_options"] == nil {
			next.learn = refusesStreamOptions
		}
	case f.stream && !wantsStream(req) && r.isRejection() && r.mentionsStreaming():
		next.of, next.stream, next.options = theStreaming, false, false
		if !severalAnswers(req) { // "cannot stream with best_of > n" is not about the model
			next.learn = refusesStreaming(p.modelOf(req))
		}
	case f.path == textPath && f.fim == Suffix && r.isNoPath():
		next.of, next.path, next.learn = thePath, fimPath, completesAt(fimPath)
	case f.fim == Suffix && req.HasSuffix && p.opts.FIM == AutoFIM && r.isRejection() && r.mentions("suffix"):
		next.of, next.fim, next.learn = theSuffix, p.fimOf(req, true), refusesSuffix(p.modelOf(req))
		p.learned.mu.Lock()
		next.rendered(&p.learned, p.modelOf(req))
		p.learned.mu.Unlock()
	case f.fim != Suffix && !f.few && r.isRejection() && r.mentions("stop"):
		next.of, next.few, next.learn = theStops, true, refusesManyStops(p.modelOf(req))
	}
	return next, next.of != 0 && next.form != f
}

func severalAnswers(req *hub.CompletionRequest) bool {
	return !jsonw.IsNull(req.Body["best_of"]) || !jsonw.IsNull(req.Body["n"])
}

// isRejection reports whether the upstream found fault with the request.
func (e *refused) isRejection() bool {
	return slices.Contains([]int{
		http.StatusBadRequest, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusNotImplemented,
	}, e.status)
}

// isNoPath reports whether the upstream has nothing at the path, as opposed to not having the model.
func (e *refused) isNoPath() bool {
	return (e.status == http.StatusNotFound || e.status == http.StatusMethodNotAllowed) && !e.mentions("model")
}
