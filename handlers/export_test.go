package handlers

import (
	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub"
)

// Routes returns the table of paths, for tests that compare it with openapi.yaml.
func Routes(o Options) chi.Routes { return newServer(o).router() }

// FollowPresence returns a function that returns what a connection that follows a topic's presences is sent now.
func FollowPresence(r *hub.PresenceReader) func() string {
	f := new(live.PresenceFeed)
	f.Follow(r)
	return func() string { return string(f.Append(nil)) }
}
