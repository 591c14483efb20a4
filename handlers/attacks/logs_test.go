package attacks_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
)

// TestTokensInLogs: even at level debug, no log contains a token that was sent in a wrong place, whether it is valid,
// invalid or an API key.
func TestTokensInLogs(t *testing.T) {
	s := start(t)
	good := token(t, "ada", "*=*")
	bad := token(t, "eve", "*=*")
	bad = bad[:len(bad)-6] + "AAAAAA"
	const key = "dwk_ThisIsNoKeyOfOursButItLooksLikeOne0123456789012"
	for _, tok := range []string{good, bad, key} {
		query := url.QueryEscape(tok)
		for _, path := range []string{
			"/v1/streams", "/v1/streams?x=1&%74oken=" + query, "/v1/streams?access_token=" + query,
			"/v1/streams/" + query, "/" + query, "/v1/topics/" + query + "/events",
			"/v1/topics/t/events?after=" + query, "/readyz?token=" + query, "/healthz?token=" + query,
			"/v1/events?topic=" + query, "/docs?token=" + query,
		} {
			for _, headers := range [][]string{
				nil,
				{"Authorization: Bearer " + tok},
				{"Authorization: " + tok},
				{"X-Phoenix-AuthToken: " + tok},
				{
					"X-Request-Id: " + tok, "User-Agent: " + tok,
					"Referer: https://app.example/?token=" + query, "Origin: https://" + query,
				},
			} {
				s.open("GET", path, "", headers...).Body.Close()
			}
		}
		s.do("POST", "/v1/topics/t/events", `{"token":"`+tok+`"}`, "Authorization: Bearer "+good)
		c := s.socket(good, "t")
		push(t, c, `["1","2","t","access_token",{"access_token":"`+tok+`"}]`)
		push(t, c, `["1","3","phoenix","access_token",{"token":"`+tok+`"}]`)
		c.CloseNow()
	}
	s.want(200, "GET", "/healthz", "")
	log := s.log.String()
	if !strings.Contains(log, `"path":"/v1/streams"`) {
		t.Fatalf("the requests are not logged:\n%.500s", log)
	}
	for _, tok := range []string{good, bad, key} {
		secretPart := tok[strings.LastIndex(tok, ".")+1:] // a signature may hold "_", also near its end: no place to cut
		for name, text := range map[string]string{
			"it": tok, "its signature": secretPart, "the beginning of it": tok[:40],
			"it in base64": base64.StdEncoding.EncodeToString([]byte(tok))[:60],
		} {
			if i := strings.Index(log, text); i >= 0 {
				t.Errorf("%.12s…: %s is in the log: …%.200s", tok, name, log[max(0, i-150):])
			}
		}
	}
	if strings.Contains(log, secret) {
		t.Error("the secret is in the log")
	}
}
