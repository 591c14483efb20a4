package attacks_test

import (
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// jsonDoors are the paths that parse a client's JSON. Any value can be inserted.
var jsonDoors = []struct {
	method, path, before, after, media string
}{
	{"POST", "/v1/topics/t/events", `{"event":"e","payload":`, `}`, "application/json"},
	{"POST", "/v1/users/ada/messages", `{"event":"e","payload":`, `}`, "application/json"},
	{"POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"anything":`, `}`, "application/json"},
	{"POST", "/v1/completions", `{"prompt":"x","anything":`, `}`, "application/json"},
	{"POST", "/v1/streams/s/append", `{"event":"entry","data":`, "}\n", "application/x-ndjson"},
	{"POST", "/v1/analyses", `{"code":"x","options":{"x":`, `}}`, "application/json"},
}

// bombs are values for which some parsers need too much time or memory.
var bombs = map[string]string{
	"arrays":               strings.Repeat("[", 400_000) + strings.Repeat("]", 400_000),
	"objects":              strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000),
	"arrays without end":   strings.Repeat("[", 900_000),
	"an exponent":          "1e999999999",
	"a negative exponent":  "1e-999999999",
	"a million digits":     strings.Repeat("9", 900_000),
	"a million decimals":   "0." + strings.Repeat("1", 900_000),
	"many equal names":     "{" + strings.Repeat(`"a":1,`, 100_000) + `"a":1}`,
	"a name of a megabyte": `{"` + strings.Repeat("a", 900_000) + `":1}`,
	"escapes":              `"` + strings.Repeat(`\u0000`, 150_000) + `"`,
	"half surrogates":      `"` + strings.Repeat(`\ud800`, 150_000) + `"`,
}

// TestJSONBombs: each bomb is accepted or refused. The server continues to serve other clients, and logs no errors.
func TestJSONBombs(t *testing.T) {
	s := start(t)
	ada := bearer(t, "ada")
	s.want(201, "POST", "/v1/streams", `{"id":"s"}`, ada)
	for name, bomb := range bombs {
		for _, d := range jsonDoors {
			status, answer, _ := s.do(d.method, d.path, d.before+bomb+d.after, ada, "Content-Type: "+d.media)
			if status >= 500 && status != 503 { // 503: this server has no worker
				t.Errorf("%s at %s: %d %.200s", name, d.path, status, answer)
			}
			deep := strings.HasPrefix(name, "arrays") || name == "objects"
			if deep && status != 400 && status != 413 {
				t.Errorf("%s at %s: %d, want 400 or 413: %.200s", name, d.path, status, answer)
			}
		}
	}
	other := s.socket(token(t, "bob", "*=*"), "calm")
	for name, bomb := range bombs {
		c := s.socket(token(t, "ada", "*=*"), "bombs")
		if err := c.Write(t.Context(), websocket.MessageText, []byte(`["1","2","bombs","say",`+bomb+`]`)); err != nil {
			t.Fatal(err)
		}
		_, raw, err := c.Read(t.Context())
		reply := string(raw)
		replied := strings.Contains(reply, `["1","2","bombs","phx_reply"`)
		if err == nil && !replied && !strings.Contains(reply, `"say"`) {
			t.Errorf("%s on a socket: %.200s", name, reply)
		}
		c.CloseNow()
		if reply := push(t, other, `["1","2","nowhere","say",{}]`); !strings.Contains(reply, "unmatched topic") {
			t.Errorf("after %s the other socket gets %.200s", name, reply)
		}
	}
	s.want(200, "GET", "/healthz", "")
	if log := s.log.String(); strings.Contains(log, `"level":"ERROR"`) || strings.Contains(log, "panic") {
		t.Errorf("the server found itself at fault:\n%.2000s", log)
	}
}

// TestNumbersStayAsTheyAre: a number that exceeds every machine word is neither rounded nor refused.
func TestNumbersStayAsTheyAre(t *testing.T) {
	s := start(t)
	ada := bearer(t, "ada")
	payload := `{"id":12345678901234567890123,"e":1e999,"zero":-0.0,"d":0.1000000000000000000001}`
	s.want(200, "POST", "/v1/topics/t/events", `{"event":"e","payload":`+payload+`}`, ada)
	if events := s.want(200, "GET", "/v1/topics/t/events", "", ada); !strings.Contains(events, payload) {
		t.Errorf("%s came back as %s", payload, events)
	}
}
