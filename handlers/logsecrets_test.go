package handlers_test

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/memory"
)

// TestLogsHoldNoTokens: no usable part of a credential is logged at any level, wherever it is sent and whether it is
// valid or not.
func TestLogsHoldNoTokens(t *testing.T) {
	log := &logBuffer{}
	crash := scripted(func(context.Context, *hub.CompletionRequest, hub.CompletionWriter) error { panic("crashed") })
	s := startHub(t, hub.Options{
		Provider: crash, Queue: memory.NewQueue(),
		Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, nil)
	good := token(t, "ada", "*=*")
	secrets := []string{
		good, tokenFor(t, "ada", -time.Hour, "*=*"), good[:len(good)-8] + "AAAAAAAA", "dw_not-a-key-but-looks-like-one",
	}
	for _, secret := range secrets[:4:4] {
		secrets = append(secrets, s.tryEverywhere(t, secret)...)
	}
	s.expect(500, "POST", chatPath, chatBody(""), "Authorization: Bearer "+good)

	text := log.String()
	for _, part := range []string{
		`"path":"/socket/sse"`, `"path":"/socket/longpoll"`, `"path":"/socket/websocket"`, `"path":"/no-such"`,
		"token=REDACTED", "api_key=REDACTED", "session=REDACTED", "crashed",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the log has no %s: what was to be looked at is not there", part)
		}
	}
	for _, secret := range secrets {
		forms := []string{
			secret, url.QueryEscape(secret), base64.RawURLEncoding.EncodeToString([]byte(secret)),
			base64.StdEncoding.EncodeToString([]byte(secret)),
		}
		if i := strings.LastIndexByte(secret, '.'); i >= 0 {
			forms = append(forms, secret[i+1:]) // the signature
		}
		for _, form := range forms {
			for line := range strings.Lines(text) {
				if strings.Contains(line, form) {
					t.Errorf("%.12s… is in the log: %.600s", secret, line)
				}
			}
		}
	}
}

// tryEverywhere uses a token in every place where one may be, and in some where it should not be. It returns the tokens
// that the server derived from it.
func (s *testServer) tryEverywhere(t *testing.T, tok string) (made []string) {
	t.Helper()
	query := url.QueryEscape(tok)
	get := func(path string, headers ...string) {
		r, _ := http.NewRequest("GET", s.URL+path, nil)
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for _, path := range []string{
		"/v1/streams", "/no-such", "/v1/topics/t:1/events?max=1", "/metrics", "/v1/streams/none",
	} {
		also := "?"
		if strings.Contains(path, "?") {
			also = "&"
		}
		get(path, "Authorization: Bearer "+tok, "Accept: text/event-stream")
		get(path, "Api-Key: "+tok)
		get(path, "X-Api-Key: "+tok)
		get(path + also + "api-key=" + query + "&x-api-key=" + query + "&Authorization=Bearer+" + query)
		get(path, "Cookie: duckwire_token="+tok, "Sec-Fetch-Site: same-origin")
		get(path, "Cookie: duckwire_token="+tok, "Origin: https://evil.example")
		get(path + also + "token=" + query)
		get(path + also + "api_key=" + query)
		get(path + also + "token=" + query + "&token=" + query)
		get(path + also + "TOKEN=" + query + "&access_token=" + query + "&authToken=" + query)
	}
	ctx, cancel := context.WithTimeout(t.Context(), hubtest.Hung)
	defer cancel()
	subprotocol := "base64url.bearer.phx." + base64.RawURLEncoding.EncodeToString([]byte(tok))
	for _, o := range []*websocket.DialOptions{
		{Subprotocols: []string{"phoenix", subprotocol}},
		{HTTPHeader: http.Header{"Authorization": {"Bearer " + tok}}},
		{HTTPHeader: http.Header{"Cookie": {"duckwire_token=" + tok}}},
		nil,
	} {
		address := s.URL + "/socket/websocket?vsn=2.0.0"
		if o == nil {
			address += "&token=" + query
		}
		if conn, _, err := websocket.Dial(ctx, address, o); err == nil {
			_ = conn.Write(ctx, websocket.MessageText, []byte(`["1","1","t:1","phx_join",{"token":"`+tok+`"}]`))
			_, _, _ = conn.Read(ctx)
			_ = conn.Write(ctx, websocket.MessageText, []byte(`no frame at all `+tok))
			_, _, _ = conn.Read(ctx)
			_ = conn.CloseNow()
		}
	}
	get("/socket/longpoll?vsn=2.0.0", "X-Phoenix-AuthToken: "+tok)
	if last := s.poll("GET", "token="+query, "").Token; last != "" {
		s.poll("POST", "token="+query+"&token="+url.QueryEscape(last), `["1","1","t:1","phx_join",{}]`)
		s.poll("GET", "token="+query+"&token="+url.QueryEscape(last), "")
		made = append(made, last)
	}
	resp := s.do("GET", "/socket/sse?vsn=2.0.0&token="+query, "", "Authorization: none", "Accept: text/event-stream")
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		down := s.stream("GET", "/socket/sse?vsn=2.0.0&token="+query, "", "Authorization: none")
		session := parse[struct{ Session string }](t, down.want("hello")).Session
		s.post(t, s.URL+"/socket/sse?session="+session, `["1","1","t:1","phx_join",{}]`)
		down.resp.Body.Close()
		get("/socket/sse?session="+session+"&after=0&max=1", "Accept: text/event-stream")
		made = append(made, session)
	}
	return slices.Clip(made)
}
