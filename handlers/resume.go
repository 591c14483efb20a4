package handlers

import (
	"errors"
	"net/http"
	"strings"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// resumption is what a request says about the position to resume from.
type resumption struct {
	text  string // "": nothing
	field string // where it stands, for errors: "Last-Event-ID", "?lastEventId", "?after"
}

// resumeFrom returns the position that a request resumes from. The places of a position, by precedence:
//
//  1. the header Last-Event-ID, since an EventSource sends its first URL again when it reconnects (WHATWG HTML §9.2.3);
//  2. the parameter lastEventId, which clients that cannot set headers, such as event-source-polyfill and
//     reconnecting-eventsource, add to their first URL when they reconnect;
//  3. the parameter after, which stands in that first URL.
//
// An empty value counts as absent.
func resumeFrom(r *http.Request) resumption {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return resumption{id, "Last-Event-ID"}
	}
	if name, id := lastEventID(r); id != "" {
		return resumption{id, "?" + name}
	}
	return resumption{r.URL.Query().Get("after"), "?after"}
}

// lastEventID returns the parameter lastEventId and its name as the client spells it. Servers and clients disagree on
// the spelling (lastEventId, lastEventID, Last-Event-ID, last_event_id), so case, '-' and '_' do not matter. Of several
// values the last one counts: older polyfills append theirs to a URL that may already have one.
func lastEventID(r *http.Request) (name, id string) {
	for key, values := range r.URL.Query() {
		spelt := strings.NewReplacer("-", "", "_", "").Replace(key)
		if last := values[len(values)-1]; strings.EqualFold(spelt, "lasteventid") && last != "" {
			return key, last
		}
	}
	return "", ""
}

// refuse returns an error for the position.
func (p resumption) refuse(format string, args ...any) error {
	return errs.Invalid(p.field, format, args...)
}

// name returns the error of a parser of positions with the field that the position stands in.
func (p resumption) name(err error) error {
	if field := (*errs.FieldError)(nil); errors.As(err, &field) {
		return &errs.FieldError{Field: p.field, Reason: field.Reason}
	}
	return err
}

// resumePosition returns the position in one log that a request resumes from; def if it names none.
func resumePosition(r *http.Request, def log.Position) (log.Position, error) {
	from := resumeFrom(r)
	if from.text == "" {
		return def, nil
	}
	p, err := log.ParsePosition(from.text)
	return p, from.name(err)
}

// resumes reports whether a client shows that it resumes streams.
func resumes(r *http.Request) bool {
	q := r.URL.Query()
	_, id := lastEventID(r)
	return len(r.Header.Values("Last-Event-ID")) > 0 || id != "" || q.Has("after") || acceptsPositions(r)
}
