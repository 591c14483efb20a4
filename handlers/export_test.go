package handlers

import (
	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub"
)

// Routes returns the table of paths, for tests that hold openapi.yaml to it.
func Routes(o Options) chi.Routes { return newServer(o).router() }

// FollowPresence returns what writes all that a connection which follows a topic's presences is told at the time.
func FollowPresence(r *hub.PresenceReader) func() string {
	f := new(live.PresenceFeed)
	f.Follow(r)
	return func() string { return string(f.Append(nil)) }
}
