package doctor

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const doUpgrade = "have the proxy pass upgrades on: nginx proxy_http_version 1.1 with the headers Upgrade and " +
	"Connection; Apache mod_proxy_wstunnel.\n" +
	"Until then clients fall back to /socket/sse or /socket/longpoll"

// webSocket checks whether a WebSocket can be opened and a heartbeat is answered on it, first without an Origin, then
// with that of a page of the server's host.
func (e *examination) webSocket(ctx context.Context) {
	const check = "websocket"
	took, status, err := e.heartbeat(ctx, "")
	switch {
	case err == nil:
		e.Fine(check, "it opens, and answers, after %s", took.Round(time.Millisecond))
	case status == http.StatusUpgradeRequired, status == http.StatusOK, status == http.StatusBadRequest:
		e.Broken(check, doUpgrade, "the request for a WebSocket reaches the server without saying so (status %d)",
			status)
		return
	case status != 0:
		e.Broken(check, doUpgrade, "a proxy, or the server, refuses it with status %d", status)
		return
	default:
		e.Broken(check, doUpgrade, "%v", withoutURL(err))
		return
	}
	if _, status, err := e.heartbeat(ctx, e.Base); err != nil && status == http.StatusForbidden {
		e.Warn("origin",
			"have the proxy pass the header Host unchanged (nginx: proxy_set_header Host $http_host), or name "+
				e.Base+" in allowed_origins",
			"a page of %s may not open a socket: the server is told another name of itself", e.Base)
	}
}

// heartbeat opens a Phoenix socket, with an Origin if it is not "", and waits for the reply to one heartbeat. status is
// that of a failed handshake.
func (e *examination) heartbeat(ctx context.Context, origin string) (took time.Duration, status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	began := time.Now()
	conn, status, err := e.dial(ctx, origin)
	if err != nil {
		return 0, status, err
	}
	defer conn.CloseNow()
	if err := conn.Write(ctx, websocket.MessageText, []byte(`[null,"1","phoenix","heartbeat",{}]`)); err != nil {
		return 0, 0, err
	}
	if _, _, err := conn.Read(ctx); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	// the heartbeat was answered: how the socket closes does not matter
	_ = conn.Close(websocket.StatusNormalClosure, "")
	return took, 0, nil
}

// dial opens a Phoenix socket.
func (e *examination) dial(ctx context.Context, origin string) (*websocket.Conn, int, error) {
	header := http.Header{"Authorization": {"Bearer " + e.Token}}
	if origin != "" {
		header.Set("Origin", originOf(origin))
	}
	conn, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(e.Base, "http")+"/socket/websocket?vsn=2.0.0",
		&websocket.DialOptions{HTTPClient: e.client, HTTPHeader: header})
	if err != nil && resp != nil {
		return nil, resp.StatusCode, err
	}
	return conn, 0, err
}

// originOf returns a URL without its path.
func originOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base
	}
	return u.Scheme + "://" + u.Host
}
