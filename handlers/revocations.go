package handlers

import (
	"errors"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
)

// everyTopic is the topic to be an admin of for what is nobody's own: no pattern but * takes it in.
const everyTopic = "*"

// revocationBody is the body of POST /v1/revocations.
type revocationBody struct {
	User  string `json:"user"`
	Token string `json:"jti"`
	Until string `json:"until"`
}

// revocationView is a revocation as its admins see it.
type revocationView struct {
	User         string     `json:"user,omitempty"`
	Token        string     `json:"jti,omitempty"`
	Issued       *time.Time `json:"issued_until,omitempty"`
	Until        time.Time  `json:"until"`
	Disconnected *int       `json:"disconnected,omitempty"`
}

func viewRevocation(r rights.Revocation) revocationView {
	v := revocationView{User: r.User, Token: r.TokenID, Until: r.Until.UTC()}
	if r.User != "" {
		v.Issued = &r.Issued
	}
	return v
}

// mayRevoke checks whose tokens, or which token, a request is about, and the right to be about it: admin of the user's topic, or of every topic for
// one token, of which nobody here knows whose it is.
func (s *server) mayRevoke(r *http.Request, user, token string) error {
	topic := everyTopic
	switch {
	case (user == "") == (token == ""):
		return errs.Invalid("user", "must be given, or jti, and not both")
	case len(user) > maxSubject || len(token) > maxSubject:
		return errs.Invalid("user", "and jti must be at most %d bytes long", maxSubject)
	case user != "":
		topic = hub.UserTopic(user)
	}
	return s.Authorizer.Authorize(r.Context(), auth.IdentityFrom(r.Context()), topic, rights.ActionAdmin)
}

// maxSubject is how long a user or a jti may be, in bytes: that of tokens is not longer.
const maxSubject = 255

// revoke answers POST /v1/revocations: the tokens do not hold any more when it answers, and what was open with them has been told so.
func (s *server) revoke(w http.ResponseWriter, r *http.Request) error {
	var body revocationBody
	if err := s.readJSON(r, &body); err != nil {
		return err
	}
	if err := s.mayRevoke(r, body.User, body.Token); err != nil {
		return err
	}
	var until time.Time
	var err error
	if body.Until != "" {
		if until, err = time.Parse(time.RFC3339, body.Until); err != nil {
			return errs.Invalid("until", "must be a time such as 2026-03-01T12:00:00Z; got %q", clip(body.Until))
		}
	}
	var one rights.Revocation
	if body.User != "" {
		one, err = s.Verifier.Revocations().RevokeUser(body.User, until)
	} else {
		one, err = s.Verifier.Revocations().RevokeToken(body.Token, until)
	}
	if err != nil && !errors.Is(err, errs.ErrUnavailable) {
		return err
	}
	n := s.endRevoked() + s.tellRevoked(one, err != nil) // also where it could not be saved: it holds
	if err != nil {
		return err
	}
	view := viewRevocation(one)
	view.Disconnected = &n
	writeJSON(w, http.StatusCreated, view)
	return nil
}

// revocationPage is the answer to GET /v1/revocations.
type revocationPage struct {
	Revocations []revocationView `json:"revocations"`
	More        bool             `json:"more"`
}

// listRevocations answers GET /v1/revocations: the one of a user or a token, or all.
func (s *server) listRevocations(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page := revocationPage{Revocations: []revocationView{}}
	if q.Has("user") || q.Has("jti") {
		if err := s.mayRevoke(r, q.Get("user"), q.Get("jti")); err != nil {
			return err
		}
		if one, ok := s.Verifier.Revocations().Get(q.Get("user"), q.Get("jti")); ok {
			page.Revocations = append(page.Revocations, viewRevocation(one))
		}
		writeJSON(w, http.StatusOK, page)
		return nil
	}
	if err := s.Authorizer.Authorize(r.Context(), auth.IdentityFrom(r.Context()), everyTopic, rights.ActionAdmin); err != nil {
		return err
	}
	limit, err := intParam(q, "limit", 100, 1, 10_000)
	if err != nil {
		return err
	}
	list, more := s.Verifier.Revocations().List(limit)
	for _, one := range list {
		page.Revocations = append(page.Revocations, viewRevocation(one))
	}
	page.More = more
	writeJSON(w, http.StatusOK, page)
	return nil
}

// liftRevocation answers DELETE /v1/revocations: the tokens hold again.
func (s *server) liftRevocation(w http.ResponseWriter, r *http.Request) error {
	user, token := r.URL.Query().Get("user"), r.URL.Query().Get("jti")
	if err := s.mayRevoke(r, user, token); err != nil {
		return err
	}
	one, err := s.Verifier.Revocations().Lift(user, token)
	if err != nil {
		return err
	}
	s.tellLifted(one)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// disconnectUser answers POST /v1/users/{user}/disconnect.
func (s *server) disconnectUser(w http.ResponseWriter, r *http.Request) error {
	user, err := userParam(r)
	if err != nil {
		return err
	}
	if err := s.Authorizer.Authorize(r.Context(), auth.IdentityFrom(r.Context()), hub.UserTopic(user), rights.ActionAdmin); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]int{"disconnected": s.disconnectEverywhere(user)})
	return nil
}
