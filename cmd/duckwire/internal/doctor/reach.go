package doctor

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// reach checks whether a Duckwire server answers, and its certificate. It reports whether to go on.
func (e *examination) reach(ctx context.Context) bool {
	const check = "server"
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := e.request(ctx, http.MethodGet, "/healthz", "")
	if err != nil {
		e.Broken(check, "give a whole URL", "%v", err)
		return false
	}
	began := time.Now()
	resp, err := e.client.Do(req)
	if err != nil {
		e.Broken(check,
			"see whether it runs (duckwire health, on its machine), and whether name, port and certificate are right",
			"no answer from %s: %v", e.Base, withoutURL(err))
		return false
	}
	defer resp.Body.Close()
	if to := resp.Header.Get("Location"); resp.StatusCode/100 == 3 {
		e.Broken(check,
			"give clients the address that it leads to: a WebSocket follows no redirect, and others may drop the token",
			"it redirects to %s", strings.TrimSuffix(to, "/healthz"))
		return false
	}
	if err := checkHealth(resp); err != nil {
		do := "have the proxy pass every path to Duckwire, the path unchanged"
		if resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusServiceUnavailable {
			do = "see whether Duckwire runs (duckwire health, on its machine), and in the proxy's log whether the proxy " +
				"has the right address, and may connect to a Unix socket (socket_mode)"
		}
		e.Broken(check, do, "%s/healthz: %v", e.Base, err)
		return false
	}
	took := time.Since(began).Round(time.Millisecond)
	if resp.TLS == nil {
		if isPlain(e.Base) {
			e.Warn("tls", "serve it by https: tls_cert and tls_key, or a proxy in front",
				"%s is not encrypted: tokens can be read on the way", e.Base)
		}
	} else {
		checkExpiry(e.Report, "certificate", resp.TLS.PeerCertificates[0], time.Now())
	}
	e.Fine(check, "it answers, over %s, after %s", resp.Proto, took)
	return true
}

// enter checks whether the server is ready, and whether it accepts the token. It reports whether to go on.
func (e *examination) enter(ctx context.Context) bool {
	if a, err := e.ask(ctx, http.MethodGet, "/readyz", ""); err != nil {
		e.Broken("ready", "see the server's log", "%v", err)
	} else if a.status != http.StatusOK {
		e.Broken("ready", "see the server's log, and 'duckwire doctor' on its machine", "%v", a.refused())
	} else if strings.Contains(string(a.body), `"degraded"`) {
		e.Warn("ready", "see the server's log, and 'duckwire doctor' on its machine", "less works than should: %s",
			clipText(string(a.body)))
	}
	const check, do = "token",
		"give --token one that may subscribe and publish: duckwire token --user doctor --cap " +
			"'duckwire:doctor:*=subscribe,publish'"
	if e.Token == "" {
		e.Skip(check, "none is given: the rest needs one (%s)", do)
		return false
	}
	a, err := e.ask(ctx, http.MethodPost, e.events(), `{"event":"doctor","payload":{}}`)
	switch {
	case err != nil:
		e.Broken(check, "see the proxy's log, and the server's", "a POST gets no answer: %v", err)
	case a.status == http.StatusUnauthorized:
		e.Broken(check, do+"; and see that the proxy passes the header Authorization", "%v", a.refused())
	case a.status == http.StatusForbidden:
		e.Broken(check, do+", or name with --topic one that this token allows", "%v", a.refused())
	case a.status != http.StatusOK:
		e.Broken(check, "see the proxy's log, and the server's", "an event cannot be published: %v", a.refused())
	default:
		e.Fine(check, "an event was published on %s", e.Topic)
		return true
	}
	return false
}
