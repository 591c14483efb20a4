package handlers

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware/auth"
)

const topicsPrefix = "/v1/topics/"

// escapeTopics lets topics with slashes stand in a path as they are: code:file:lib/a.ex is one parameter to the router, which would see
// segments. It runs before the router and only changes the escaped form of the path.
func escapeTopics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == socketPath+"/" {
			r.URL.Path, r.URL.RawPath = socketPath, ""
		}
		if rest, ok := strings.CutPrefix(r.URL.Path, topicsPrefix); ok {
			if i := strings.LastIndexByte(rest, '/'); i > 0 {
				u := *r.URL
				u.RawPath = topicsPrefix + url.PathEscape(rest[:i]) + rest[i:]
				r2 := *r
				r2.URL = &u
				r = &r2
			}
		}
		next.ServeHTTP(w, r)
	})
}

// topicParam returns the topic of the path, checked.
func topicParam(r *http.Request) (string, error) {
	topic, err := url.PathUnescape(chi.URLParam(r, "topic"))
	if err != nil {
		return "", errs.Invalid("topic", "has a broken percent escape")
	}
	return topic, hub.ValidTopic(topic)
}

// userParam returns the user of the path, of whom there may be a topic; "me" is who asks.
func userParam(r *http.Request) (string, error) {
	user, err := url.PathUnescape(chi.URLParam(r, "user"))
	if user == "me" {
		user = auth.IdentityFrom(r.Context()).User
	}
	if err != nil || hub.ValidTopic(hub.UserTopic(user)) != nil {
		return "", errs.Invalid("user", "must be the id of a user, as tokens name it, or me")
	}
	return user, nil
}
