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

// presenceView is who is on a topic.
type presenceView struct {
	Topic    string          `json:"topic"`
	Presence json.RawMessage `json:"presence"`
	Count    int             `json:"count"` // of users, whose sessions may be more
}

// getPresence answers with who is on a topic.
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

// maySeePresence allows those who may be present, or subscribe. Where one of the two cannot be decided, the other may still allow it.
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

// presenceParams is what ?presence= and ?client= ask for.
type presenceParams struct {
	user, client string
	meta         json.RawMessage
}

// parsePresence reads whether the subscriber wants to be present on the topics, and checks that they may; nil is no.
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

// trackPresence lets the subscriber be present on the topics, and f tell of who else is. What it has begun, f.End ends.
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

// asQueryParameter names the fault of a meta as the client wrote it.
func asQueryParameter(err error) error {
	var field *errs.FieldError
	if errors.As(err, &field) && field.Field == "meta" {
		return &errs.FieldError{Field: "?presence", Reason: field.Reason}
	}
	return err
}
