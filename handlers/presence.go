package handlers

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
)

// presenceView is the presence on a topic.
type presenceView struct {
	Topic    string          `json:"topic"`
	Presence json.RawMessage `json:"presence"`
	Count    int             `json:"count"` // number of users, each with one or more sessions
}

// getPresence answers with the presence on a topic.
func (s *server) getPresence(w http.ResponseWriter, r *http.Request) error {
	topic, err := topicParam(r)
	if err != nil {
		return err
	}
	if err := s.maySeePresence(r, topic); err != nil {
		return err
	}
	state, users := s.hub.PresenceSnapshot(topic)
	writeJSON(w, http.StatusOK, presenceView{topic, state, users})
	return nil
}

// maySeePresence allows clients that may be present or subscribe. If one of the two rights cannot be checked, the other
// may still allow it.
func (s *server) maySeePresence(r *http.Request, topic string) error {
	id := auth.IdentityFrom(r.Context())
	err := s.Authorizer.Authorize(r.Context(), id, topic, rights.ActionSubscribe)
	if err == nil {
		return nil
	}
	other := s.Authorizer.Authorize(r.Context(), id, topic, rights.ActionPresence)
	if other != nil && errors.Is(other, errs.ErrForbidden) {
		return err
	}
	return other
}

// presenceParams are the parameters ?presence= and ?client=.
type presenceParams struct {
	user, client string
	meta         json.RawMessage
}

// parsePresence parses whether the subscriber wants to be present on the topics, and checks that it may. It returns nil
// if it does not.
func (s *server) parsePresence(r *http.Request, topics []string) (*presenceParams, error) {
	q := r.URL.Query()
	id := auth.IdentityFrom(r.Context())
	ask := &presenceParams{user: id.User, client: q.Get("client")}
	if q.Has("client") {
		if err := hub.ValidName("?client", ask.client); err != nil {
			return nil, err
		}
	}
	if !q.Has("presence") {
		return nil, nil
	}
	if text := q.Get("presence"); text != "" && text != "1" {
		ask.meta = json.RawMessage(text)
		if text[0] != '{' {
			return nil, errs.Invalid("?presence", "must be 1, or a JSON object that others will see; got %q", clip(text))
		}
	}
	for _, topic := range topics {
		if err := s.Authorizer.Authorize(r.Context(), id, topic, rights.ActionPresence); err != nil {
			return nil, err
		}
	}
	return ask, nil
}

// trackPresence makes the subscriber present on the topics, and subscribes f to the presence of others. f.End undoes
// both.
func (s *server) trackPresence(f *live.PresenceFeed, ask *presenceParams, topics []string, wake log.Waker) error {
	for _, topic := range topics {
		p, err := s.hub.TrackOnline(topic, ask.user, ask.client, ask.meta)
		if err != nil {
			return asQueryParameter(err)
		}
		f.Add(p)
		reader, err := s.hub.SubscribePresence(topic, wake)
		if err != nil {
			return err
		}
		f.Follow(reader)
	}
	return nil
}

// asQueryParameter renames an invalid meta to the query parameter that it came from.
func asQueryParameter(err error) error {
	var field *errs.FieldError
	if errors.As(err, &field) && field.Field == "meta" {
		return &errs.FieldError{Field: "?presence", Reason: field.Reason}
	}
	return err
}
