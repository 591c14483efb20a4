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

// escapeSlashes makes names with slashes one path parameter for the router, which would split them into segments:
// topics, such as code:file:lib/a.ex, and models, such as openai/gpt-4o. It runs before the router and changes only the
// escaped path.
func escapeSlashes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, topicsPrefix); ok {
			if i := strings.LastIndexByte(rest, '/'); i > 0 {
				r = withPath(r, r.URL.Path, topicsPrefix+url.PathEscape(rest[:i])+rest[i:])
			}
		}
		if id, ok := strings.CutPrefix(r.URL.Path, modelsPrefix); ok && id != "" {
			r = withPath(r, r.URL.Path, modelsPrefix+url.PathEscape(id))
		}
		next.ServeHTTP(w, r)
	})
}

// withPath returns the request with another path; raw is its escaped form.
func withPath(r *http.Request, path, raw string) *http.Request {
	u := *r.URL
	u.Path, u.RawPath = path, raw
	r2 := *r
	r2.URL = &u
	return &r2
}

// trimSlash serves a path with a trailing slash as the one without, which the base URLs of many clients add. No name in a
// path ends in a slash, unless that is escaped. It does not redirect, because clients repeat a POST as a GET then.
func trimSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if escaped := r.URL.EscapedPath(); len(escaped) > 1 && strings.HasSuffix(escaped, "/") {
			r = withPath(r, strings.TrimSuffix(r.URL.Path, "/"), strings.TrimSuffix(r.URL.RawPath, "/"))
		}
		next.ServeHTTP(w, r)
	})
}

// pathParam returns a parameter of the path, which may contain escaped slashes.
func pathParam(r *http.Request, name string) (string, error) {
	value, err := url.PathUnescape(chi.URLParam(r, name))
	if err != nil {
		return "", errs.Invalid(name, "has a broken percent escape")
	}
	return value, nil
}

// topicParam returns the validated topic of the path.
func topicParam(r *http.Request) (string, error) {
	topic, err := pathParam(r, "topic")
	if err != nil {
		return "", err
	}
	return topic, hub.ValidTopic(topic)
}

// userParam returns the user of the path, whose id must be valid in a topic; "me" is the client's own user.
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
