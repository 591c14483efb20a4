package doctor

import (
	"context"
	"net/url"
)

// resume checks whether the header Last-Event-ID, with which a browser's EventSource resumes, reaches the server.
func (e *examination) resume(ctx context.Context) {
	const check = "resume"
	const first, missed = "doctor_first", "doctor_missed"
	at, err := e.publish(ctx, first)
	if err == nil {
		_, err = e.publish(ctx, missed)
	}
	if err != nil {
		e.Broken(check, "see the proxy's log, and the server's", "an event cannot be published: %v", err)
		return
	}
	if !e.missed(ctx, missed, url.Values{"after": {at}}) {
		e.Broken(check, "run one server, or send all requests to the same one",
			"what was missed does not come (?after=): another server answers than the one that was told")
		return
	}
	if !e.missed(ctx, missed, url.Values{}, "Last-Event-ID", at) {
		e.Broken(check,
			"have the proxy pass the header Last-Event-ID; until then clients must give the position as ?after=",
			"the header Last-Event-ID does not reach the server: who comes back loses what was missed")
		return
	}
	e.Fine(check, "what was missed comes, by Last-Event-ID and by ?after=")
}

// missed reports whether a client that resumes receives the named event.
func (e *examination) missed(ctx context.Context, name string, query url.Values, header ...string) bool {
	s, err := e.open(ctx, query, header...)
	if err != nil {
		return false
	}
	defer s.close()
	_, err = s.await(e.Patience, named(name))
	return err == nil
}
