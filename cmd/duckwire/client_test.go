package main

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
)

// command runs one command line in this process, in an empty folder, against f.
func (f *fakeServer) command(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv(config.EnvURL, f.URL)
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

func TestCommands(t *testing.T) {
	inEmptyDir(t)
	t.Setenv(config.EnvToken, "tok")
	for name, c := range map[string]struct {
		line    string // the arguments contain no spaces
		stdin   string
		request string
		code    int
		stdout  string
	}{
		"complete":       {"complete hi", "", "GET /v1/streams/cmp_1?after=0", 0, "hello"},
		"complete stdin": {"complete --model m --max-tokens 5", "hi", "POST /v1/completions", 0, "hello"},
		"tail":           {"tail t --limit 1 --json", "", "GET /v1/topics/t/events", 0, ""},
		"push":           {`push a/b saved {"x":1} --id k`, "", "POST /v1/topics/a%2Fb/events", 0, "e1.7\n"},
		"push stdin":     {"push t saved -", "[1]", "POST /v1/topics/t/events", 0, "e1.7\n"},
		"queue push":     {`queue push a/b note {"x":1} --id k`, "", "POST /v1/users/a%2Fb/messages", 0, "e1.7\n"},
		"queue push --json": {
			"queue push ada note - --id k --json", "[1]", "POST /v1/users/ada/messages", 0,
			"{\n  \"messages\": [\n    {\n      \"id\": \"k\",\n      \"position\": \"e1.7\"\n    }\n  ]\n}\n",
		},
		"queue ack": {"queue ack e1.2", "", "POST /v1/users/me/messages/ack", 0, "e1.2\n"},
		"queue ack --user": {
			"queue ack e1.2 --user ada --json", "", "POST /v1/users/ada/messages/ack", 0,
			"{\n  \"through\": \"e1.2\"\n}\n",
		},
		"streams list": {
			"streams list --status running -n 5", "", "GET /v1/streams?limit=5&status=running", 0,
			"ID  STATUS  KIND  OWNER  WATCHERS  POSITION  TOPIC\n",
		},
		"streams show": {
			"streams show cmp_1", "", "GET /v1/streams/cmp_1", 0,
			"id:       cmp_1\nstatus:   done\nkind:     completion\nwatchers: 2\n\nso far\n",
		},
		"streams show -f":  {"streams show cmp_1 --follow", "", "GET /v1/streams/cmp_1?after=0", 0, "hello"},
		"streams cancel":   {"streams cancel cmp/1", "", "DELETE /v1/streams/cmp%2F1", 0, "cancelled\n"},
		"both is an error": {"streams show cmp_1 --follow --json", "", "", 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeServer(t)
			if strings.HasPrefix(name, "tail") {
				f.events("t", 1)
				c.stdout = f.envelope("t", 0) + "\n"
			} else {
				f.chunks([]string{"hel", "lo"}, "done")
			}
			code, out, errs := f.command(t, c.stdin, strings.Fields(c.line)...)
			if code != c.code || out != c.stdout {
				t.Errorf("code %d, stdout %q, stderr %q", code, out, errs)
			}
			if c.request != "" && !slices.Contains(f.seen(), c.request) {
				t.Errorf("requests %q lack %q", f.seen(), c.request)
			}
			for _, a := range f.authorizations() {
				if a != "Bearer tok" {
					t.Errorf("Authorization %q", a)
				}
			}
		})
	}
}

func TestPushIsIdempotent(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	lost := func(_ http.ResponseWriter, r *http.Request) {
		f.post(&discard{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	}
	f.script = []answer{refuse(503), lost, refuse(429)}
	position, err := push(t.Context(), f.client, "t", pushed{ID: "k", Event: "e", Payload: []byte(`{}`)}, f.retrier())
	posted := f.posted()
	if err != nil || position != "e1.7" || len(posted) != 2 || posted[0]["id"] != "k" || posted[1]["id"] != "k" {
		t.Errorf("%s, %v, %v", position, err, f.posted())
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	inEmptyDir(t)
	openAI := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w,
			`{"error":{"message":"no such model","type":"invalid_request_error","code":"model_not_found"}}`)
	}
	page := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }
	proxy := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusMethodNotAllowed) }
	for name, c := range map[string]struct {
		answer answer
		want   string
	}{
		"problem": {refuse(409), "duckwire: some_code: what is wrong (f)\n"},
		"401":     {refuse(401), "DUCKWIRE_TOKEN"},
		"OpenAI":  {openAI, "duckwire: model_not_found: no such model\n"},
		"proxy":   {proxy, "duckwire: 405: Method Not Allowed\n"},
		"page":    {page, "is DUCKWIRE_URL right?"},
	} {
		f := newFakeServer(t)
		f.script = []answer{c.answer}
		code, out, errs := f.command(t, "", "streams", "list")
		if code != exitError || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%s: code %d, %q", name, code, errs)
		}
	}
}

// TestLocalDevToken checks that tokens are made with a development secret for servers on this machine only.
func TestLocalDevToken(t *testing.T) {
	dir := inEmptyDir(t)
	t.Setenv("DUCKWIRE_DATA_DIR", dir)
	write(t, dir, "dev-secret", testSecret+"\n")
	f := newFakeServer(t)
	if code, _, errs := f.command(t, "", "push", "t", "e"); code != 0 {
		t.Fatal(errs)
	}
	key := func(*jwt.Token) (any, error) { return []byte(testSecret), nil }
	token, err := jwt.Parse(strings.TrimPrefix(f.authorizations()[0], "Bearer "), key,
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	if err != nil || token.Claims.(jwt.MapClaims)["sub"] != "dev" {
		t.Errorf("%v, %v", token, err)
	}
	for url, local := range map[string]bool{
		"http://127.0.0.1:1": true, "http://localhost:1": true, "http://[::1]:1": true,
		"http://10.0.0.1:1": false, "https://example.com": false, "http://localhost.example.com": false,
	} {
		c, err := (&clientFlags{url: url}).client()
		if err != nil || (c.Token != nil) != local {
			t.Errorf("%s: %v, token %t", url, err, c.Token != nil)
		}
		if c, _ = (&clientFlags{url: url, token: "x"}).client(); c.Token == nil {
			t.Errorf("%s: the token given was not taken", url)
		}
	}
}
