package handlers

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/munnerz/goautoneg"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub/errs"
)

// intParam parses an integer parameter of the query; def is for an absent one. Errors name the parameter and its range.
func intParam(q url.Values, name string, def, lo, hi int) (int, error) {
	if !q.Has(name) {
		return def, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < lo || n > hi {
		return 0, errs.Invalid("?"+name, "must be a whole number from %d to %d; got %q", lo, hi, clip(q.Get(name)))
	}
	return n, nil
}

// clip shortens a text that is quoted in an error.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// parseLive parses the query parameters of a long response (openapi.yaml: Heartbeat, Pad, Max).
func (s *server) parseLive(q url.Values) (o live.Options, err error) {
	hb, err := intParam(q, "hb", int(s.Heartbeat/time.Second), 1, 60)
	if err != nil {
		return o, err
	}
	if o.Pad, err = intParam(q, "pad", 0, 0, 65536); err != nil {
		return o, err
	}
	most, err := intParam(q, "max", 0, 1, 24*3600)
	o.Heartbeat, o.Max = time.Duration(hb)*time.Second, time.Duration(most)*time.Second
	return o, err
}

// mediaJSON is the media type of short answers.
const mediaJSON = "application/json"

// negotiate chooses one of the offered media types by Accept. The first is for clients that accept anything. It returns
// "" if none is accepted.
func negotiate(r *http.Request, offered ...string) string {
	accept := r.Header.Get("Accept")
	if accept == "" {
		return offered[0]
	}
	return goautoneg.Negotiate(accept, offered)
}

// onlySSE returns an error if the client wants something else than SSE by ?format=, else by Accept.
func onlySSE(r *http.Request) error {
	switch format := r.URL.Query().Get("format"); format {
	case "":
	case "sse":
		return nil
	default:
		return errs.Invalid("?format", "must be sse; got %q", clip(format))
	}
	if negotiate(r, live.MediaSSE) == "" {
		return fmt.Errorf("this path speaks %s only: %w", live.MediaSSE, errAccept)
	}
	return nil
}

// liveOrJSON chooses between SSE and JSON by ?format=, else by Accept. what names the resource in errors.
func liveOrJSON(r *http.Request, what string) (media string, err error) {
	switch format := r.URL.Query().Get("format"); format {
	case "":
	case "sse":
		return live.MediaSSE, nil
	case "json":
		return mediaJSON, nil
	default:
		return "", errs.Invalid("?format", "must be sse or json; got %q", clip(format))
	}
	media = negotiate(r, mediaJSON, live.MediaSSE)
	if media == "" {
		return "", fmt.Errorf("%s can be had as %s and %s: %w", what, mediaJSON, live.MediaSSE, errAccept)
	}
	return media, nil
}
