package doctor

import (
	"context"
	"errors"
	"net/url"
	"time"
)

// idle opens an event stream without heartbeats for as long as the server permits, and checks whether a proxy closes
// it. The heartbeat interval must be shorter than a proxy's timeout.
func (e *examination) idle(ctx context.Context, live bool) {
	const check = "idle"
	switch {
	case e.Idle == 0:
		e.Skip(check, "proxies that cut what is silent were not waited for (--deep does)")
		return
	case !live:
		e.Skip(check, "it is waited for on an event stream, and none comes through")
		return
	}
	s, err := e.open(ctx, url.Values{"hb": {"60"}})
	if err != nil {
		e.Broken(check, "see the proxy's log, and the server's", "%v", err)
		return
	}
	defer s.close()
	began := time.Now()
	silence := min(e.Idle, 59*time.Second) // the server sends a heartbeat after 60 s
	_, err = s.await(silence, isBeat)
	after := time.Since(began).Round(time.Second)
	switch {
	case errors.Is(err, errTimeout):
		e.Fine(check, "%s of silence are not cut", after)
	case err == nil:
		e.Warn(check, "see which program on the way writes into event streams",
			"somebody else than the server wrote after %s", after)
	case after < 2*standardHeartbeat:
		e.Broken(check,
			"have the proxy wait for 60s at least (nginx: proxy_read_timeout, HAProxy: timeout server), or set "+
				"heartbeat to a third of that", "a connection that is silent is cut after %s", after)
	default:
		e.Warn(check,
			"have the proxy wait for longer (nginx: proxy_read_timeout, HAProxy: timeout server): long-polls wait "+
				"for as long as 60s", "a connection that is silent is cut after %s; heartbeats come sooner", after)
	}
}

// standardHeartbeat is the default of the setting heartbeat. A proxy's timeout of less than twice that leaves no room
// for a late heartbeat.
const standardHeartbeat = 10 * time.Second
