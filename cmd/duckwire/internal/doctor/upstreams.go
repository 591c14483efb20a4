package doctor

import (
	"context"
	"net/http"
	"strings"
)

// upstreams reports how the running server's upstreams are, and what it has learned of them, if the token is an
// admin's.
func (e *examination) upstreams(ctx context.Context) {
	const check = "upstream"
	a, err := e.ask(ctx, http.MethodGet, "/v1/overview?limit=0", "")
	switch {
	case err != nil:
		e.Warn(check, "see the proxy's log, and the server's", "the overview gets no answer: %v", err)
		return
	case a.status == http.StatusForbidden:
		e.Skip(check, `only a token with "admin" on "*" may see how the server's upstreams are`)
		return
	}
	var overview struct {
		Upstreams []struct {
			Name, Host, Reason string
			Healthy            bool
			Failures           int
			Learned            []string
		}
	}
	if err := a.decode(&overview); err != nil {
		e.Warn(check, "see the proxy's log, and the server's", "the overview: %v", err)
		return
	}
	for _, u := range overview.Upstreams {
		check, learned := check+" "+u.Name, ""
		if len(u.Learned) > 0 {
			learned = "; learned: " + clipText(strings.Join(u.Learned, ", "))
		}
		if !u.Healthy {
			e.Warn(check, "see whether it runs, and its log", "%s has failed %d times: %s%s", u.Host, u.Failures,
				clipText(u.Reason), learned)
			continue
		}
		e.Fine(check, "%s has not failed lately%s", u.Host, learned)
	}
}
