package socket

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub/errs"
)

// connect identifies a client, or returns the error that refuses it. It must decide before anything is opened: the
// official client resets its reconnection timer when a connection opens (assets/js/phoenix/socket.js: onConnOpen), so a
// client that is accepted and then closed reconnects about 90 times a second.
func (s *Server) connect(r *http.Request, authToken string) (*handshake, error) {
	vsn := r.URL.Query()["vsn"]
	h := &handshake{began: time.Now(), parts: wantsParts(r)}
	var ok bool
	last := ""
	if len(vsn) > 0 {
		last = vsn[len(vsn)-1]
	}
	if h.version, ok = phoenix.ParseVersion(last, len(vsn) > 0 || r.URL.Query().Has("vsn[]")); !ok {
		return nil, errs.Invalid("?vsn", "must be 2.0.0 or 1.0.0; got %.40q", last)
	}
	var err error
	h.identity, err = s.Identify(r, authToken)
	return h, err
}

// The subprotocols of the client's option authToken.
const (
	protocolPhoenix = "phoenix"
	protocolToken   = "base64url.bearer.phx."
)

// readProtocols reads Sec-WebSocket-Protocol. It returns the token in it, or "", and whether the subprotocol "phoenix"
// may be selected. Despite the prefix's name, clients encode the token in unpadded standard base64; both alphabets are
// accepted, with and without padding.
func readProtocols(r *http.Request) (token string, offered bool, err error) {
	known := false
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			p = strings.TrimSpace(p)
			coded, isToken := strings.CutPrefix(p, protocolToken)
			switch {
			case p == "":
			case p == protocolPhoenix:
				offered, known = true, true
			case isToken && token != "":
				return "", false, errs.Invalid("Sec-WebSocket-Protocol", "holds several tokens")
			case isToken:
				known = true
				if token, err = decodeToken(coded); err != nil {
					return "", false, err
				}
			default:
				offered = true
			}
		}
	}
	if offered && !known {
		return "", false, errs.Invalid("Sec-WebSocket-Protocol", `must hold "phoenix", or nothing at all`)
	}
	return token, known, nil
}

func decodeToken(coded string) (string, error) {
	coded = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(coded, "="))
	raw, err := base64.RawStdEncoding.DecodeString(coded)
	if err != nil || len(raw) == 0 {
		return "", errs.Invalid("Sec-WebSocket-Protocol", "holds a token that is not base64")
	}
	return string(raw), nil
}
