package handlers

import (
	"net/http"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// manyEvents answers GET /v1/events?topic=…&topic=…: several topics on one connection. The id of each block is a
// vector of positions, one for each topic (hub/log/vector.go).
func (s *server) manyEvents(w http.ResponseWriter, r *http.Request) error {
	topics := r.URL.Query()["topic"]
	if err := s.checkTopics(r, topics); err != nil {
		return err
	}
	if err := onlySSE(r); err != nil {
		return err
	}
	return s.followTopics(w, r, topics, true)
}

func (s *server) checkTopics(r *http.Request, topics []string) error {
	if len(topics) == 0 {
		return errs.Invalid("?topic", "must be given at least once")
	}
	if len(topics) > s.TopicsPerSession {
		const name = "?topic on one connection (topics_per_session)"
		return &errs.LimitError{Kind: errs.ErrTooLarge, Name: name, Limit: int64(s.TopicsPerSession)}
	}
	id := auth.IdentityFrom(r.Context())
	seen := make(map[string]bool, len(topics))
	for _, topic := range topics {
		if err := hub.ValidTopic(topic); err != nil {
			return err
		}
		if seen[topic] {
			return errs.Invalid("?topic", "names %q twice", clip(topic))
		}
		seen[topic] = true
		if err := s.Authorizer.Authorize(r.Context(), id, topic, rights.ActionSubscribe); err != nil {
			return err
		}
	}
	return nil
}

// followTopics sends the events after the client's position on each topic (by default the tail), then new ones.
func (s *server) followTopics(w http.ResponseWriter, r *http.Request, topics []string, many bool) error {
	from, err := topicPositions(r, len(topics), many)
	if err != nil {
		return err
	}
	opts, err := s.parseLive(r.URL.Query())
	if err != nil {
		return err
	}
	ask, err := s.parsePresence(r, topics)
	if err != nil {
		return err
	}
	if isHead(r) {
		live.Start(w, live.MediaSSE)
		return nil
	}
	if err := s.takeRate(r, ratelimit.Joins, len(topics)); err != nil {
		return err
	}
	pump, done, err := s.newPump(w, r, hub.ViaSSE, opts)
	if err != nil {
		return err
	}
	defer done()
	f := live.Topics(many)
	defer f.Close()
	user := auth.IdentityFrom(r.Context()).User
	for i, topic := range topics {
		reader, reset, err := s.hub.Subscribe(topic, from[i], pump)
		if err != nil {
			return err
		}
		reader.ReadFor(user)
		f.Add(reader, reset)
	}
	if ask != nil {
		if err := s.trackPresence(&f.Present, ask, topics, pump); err != nil {
			f.Present.End(0)
			return err
		}
		defer f.Present.End(s.PresenceGrace)
	}
	f.Greet(opts)
	live.Start(w, live.MediaSSE)
	finishPump(pump.Run(r.Context(), f))
	return nil
}

// topicPositions returns the positions in n topics that a request resumes from; the default is the tail of each.
func topicPositions(r *http.Request, n int, many bool) (log.Vector, error) {
	if !many {
		p, err := topicPosition(r, log.Position{Now: true})
		return log.Vector{p}, err
	}
	from := resumeFrom(r)
	if from.text == "" {
		from.text = "now"
	}
	v, err := log.ParseVector(from.text, n)
	return v, from.name(err)
}

// topicPosition returns the position in a topic that a request resumes from; def if it names none. A position that a
// socket has sent may mention streams, too (log.Places).
func topicPosition(r *http.Request, def log.Position) (log.Position, error) {
	from := resumeFrom(r)
	if from.text == "" {
		return def, nil
	}
	p, err := log.ParsePlaces(from.text)
	return p.Topic, from.name(err)
}
