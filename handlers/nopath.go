package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/hub/nearest"
	"github.com/duckwire/duckwire/middleware"
)

// apiRoot is the path of the API. Clients of OpenAI's API have it in their base URL.
const apiRoot = "/v1"

// missingError says that there is nothing at a path, and what is there instead. It matches errNoRoute.
type missingError struct {
	message string
	openAI  bool // the client is one of OpenAI's API
}

func (e *missingError) Error() string { return e.message }

// Is reports that a missingError is an errNoRoute.
func (e *missingError) Is(target error) bool { return target == errNoRoute }

// isMissingOpenAI reports whether a client of OpenAI's API asked for a path that does not exist.
func isMissingOpenAI(err error) bool {
	var missing *missingError
	return errors.As(err, &missing) && missing.openAI
}

// noSuchPath answers 404. It needs no token, because the description of the API is public.
func (s *server) noSuchPath(paths *knownPaths) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { s.WriteError(w, r, paths.missing(r)) }
}

// knownPaths are the patterns of all paths under apiRoot, without it, such as "streams/{id}".
type knownPaths struct{ patterns []string }

// readFrom lists the patterns of the routes.
func (k *knownPaths) readFrom(routes chi.Routes) {
	_ = chi.Walk(routes, func(_, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		pattern, ok := strings.CutPrefix(route, apiRoot+"/")
		if ok && !slices.Contains(k.patterns, pattern) {
			k.patterns = append(k.patterns, pattern)
		}
		return nil // so that Walk does not fail
	})
}

// missing returns the error for a request whose path does not exist.
func (k *knownPaths) missing(r *http.Request) error {
	path := routedPath(r)
	under, isAPI := strings.CutPrefix(path+"/", apiRoot+"/")
	under = strings.Trim(under, "/")
	const nothing = "there is nothing at %.200q; "
	if !isAPI {
		tail := k.tail(under)
		if tail == "" && !isForeignRoot(under) {
			return errNoRoute
		}
		return &missingError{
			message: fmt.Sprintf(nothing+"the API is under %s: set the base URL to %s", path, apiRoot, baseURL(r)),
			openAI:  tail == "" || isOpenAIPath(apiRoot+"/"+tail),
		}
	}
	if near := apiRoot + "/" + k.near(under); near != apiRoot+"/" && near != path {
		return &missingError{fmt.Sprintf(nothing+"did you mean %s?", path, near), true}
	}
	var there []string
	for _, pattern := range k.patterns {
		if known := apiRoot + "/" + pattern; isOpenAIPath(known) {
			there = append(there, known)
		}
	}
	return &missingError{
		fmt.Sprintf(nothing+"of OpenAI's API there are %s, and /docs lists all paths", path, strings.Join(there, ", ")), true,
	}
}

// baseURL returns the URL of the API as the client should know it.
func baseURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	return fmt.Sprintf("%s://%.200s%s%s", scheme, r.Host, middleware.BasePathOf(r.Context()), apiRoot)
}

// foreignRoots are first segments of paths at which clients of OpenAI's API and its kin look for a server.
var foreignRoots = []string{
	"chat", "completions", "models", "embeddings", "responses", "messages", "moderations", "rerank", "images", "audio",
	"files", "batches", "assistants", "threads", "engines", "fim", "openai", "api", "v1beta",
}

func isForeignRoot(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return slices.Contains(foreignRoots, strings.ToLower(first))
}

// maxHintBytes is the maximum length of a path that is compared with the known ones.
const maxHintBytes = 200

// tail returns the longest end of a path that is a known path, or "".
func (k *knownPaths) tail(path string) string {
	if len(path) > maxHintBytes {
		return ""
	}
	for rest, more := path, true; more; _, rest, more = strings.Cut(rest, "/") {
		for _, pattern := range k.patterns {
			if known := fill(pattern, rest); strings.EqualFold(known, rest) {
				return known
			}
		}
	}
	return ""
}

// near returns the known path that was probably meant, or "": one that the path ends with or begins, or a similar one.
func (k *knownPaths) near(path string) string {
	if path == "" || len(path) > maxHintBytes {
		return ""
	}
	if tail := k.tail(path); tail != "" {
		return tail
	}
	filled := func(yield func(string) bool) {
		for _, pattern := range k.patterns {
			if known := fill(pattern, path); known != "" && !yield(known) {
				return
			}
		}
	}
	if similar := nearest.Within(path, filled, len(path)/4); similar != "" {
		return similar
	}
	for _, pattern := range k.patterns {
		if strings.HasPrefix(pattern, strings.ToLower(path)+"/") {
			return pattern
		}
	}
	return ""
}

// fill returns a pattern with its parameters replaced by the segments at their places in the path, or "" if the path
// has none for one of them.
func fill(pattern, path string) string {
	if !strings.Contains(pattern, "{") {
		return pattern
	}
	parts, values := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(parts) != len(values) {
		return ""
	}
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = values[i]
		}
	}
	return strings.Join(parts, "/")
}
