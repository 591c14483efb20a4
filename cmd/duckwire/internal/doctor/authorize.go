package doctor

import (
	"context"
	"net/http"

	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
)

// checkAuthorizer asks the application a question that it should deny: whether an unknown user may publish on an
// unknown topic.
func (l *Local) checkAuthorizer(ctx context.Context, r *Report, client *http.Client) {
	const check = "authorize URL"
	if l.AuthorizeURL == "" {
		return
	}
	if isPlain(l.AuthorizeURL) {
		r.Warn(check, "use https in authorize_url", "it is asked over plain http: whoever is on the way can answer")
	}
	const user, topic = "duckwire-doctor", "duckwire:doctor"
	allowed, err := auth.TryAuthorizeURL(ctx, client, l.AuthorizeURL, user, topic, rights.ActionPublish)
	switch {
	case err != nil:
		r.Broken(check, `have it answer a POST of {"user","topic","action"} with 200 and {"allowed": true|false}, `+
			"within 2s; until then nothing is allowed but by tokens", "it gives no answer: %v", withoutURL(err))
	case allowed:
		r.Warn(check, "have it refuse users whom it does not know",
			"it lets the user %s, whom it cannot know, publish on %s", user, topic)
	default:
		r.Fine(check, "it answers, and refuses a user whom it does not know")
	}
}
