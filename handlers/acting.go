package handlers

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
)

// userMembers are OpenAI's members for the end user of a request's sender. The newer one takes precedence.
var userMembers = [...]string{"safety_identifier", "user"}

// actFor returns the request as that of the user whom a completion's body names, if its credential lists ActionAct for
// that user. In all other cases it returns r: the members are the upstream's, and none of their values makes a request
// fail. Therefore * and admin do not suffice: the requests of those who have them are theirs, whatever their programs
// write into the body. The header Duckwire-User takes precedence (auth.Authenticate).
func (s *server) actFor(r *http.Request, body map[string]json.RawMessage) *http.Request {
	id := auth.IdentityFrom(r.Context())
	if r.Header.Get(auth.UserHeader) != "" {
		return r
	}
	for _, name := range userMembers {
		var user string
		if json.Unmarshal(body[name], &user) != nil {
			continue
		}
		if acting, err := id.ActFor(user, time.Now()); err == nil && acting != id &&
			id.Caps.Lists(hub.UserTopic(acting.User), rights.ActionAct) {
			return auth.WithIdentity(r, acting)
		}
	}
	return r
}
