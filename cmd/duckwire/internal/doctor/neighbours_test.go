package doctor

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/provider/openai"
)

// serve runs a server that answers all requests with one status and body.
func serve(t *testing.T, status int, body string) string {
	t.Helper()
	return serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func serveFunc(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(f)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.URL
}

// client is like Examine's client, with its own connections.
func client(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: askTimeout}
}

// gone returns an address where no server listens. Its port is bound, so that no other test's server gets it.
func gone(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", addr.(*syscall.SockaddrInet4).Port)
}

func TestKeySet(t *testing.T) {
	t.Parallel()
	const ed = `{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	const oct = `{"kty":"oct","kid":"b","k":"AAAA"}`
	for name, c := range map[string]struct {
		url   string
		level Level
		found string
	}{
		"down":      {gone(t), Broken, "cannot be had"},
		"an error":  {serve(t, 500, ""), Broken, "status 500"},
		"no JSON":   {serve(t, 200, "<html>"), Broken, "no JSON"},
		"no key":    {serve(t, 200, `{"keys":[]}`), Broken, "no key that can be used"},
		"symmetric": {serve(t, 200, `{"keys":[`+oct+`]}`), Broken, "key 0"},
		"one":       {serve(t, 200, `{"keys":[`+ed+`]}`), Fine, "1 keys"},
		"two":       {serve(t, 200, `{"keys":[`+ed+`,`+oct+`]}`), Fine, "not for us"},
	} {
		r := &Report{}
		(&Local{JWKSURL: c.url}).checkKeySet(t.Context(), r, client(t))
		t.Log(name)
		holds(t, r, "key set", c.level, c.found)
		if strings.Contains(text(t, r), c.url) {
			t.Errorf("the URL, which may hold a password, is shown: %s", text(t, r))
		}
	}
}

func TestAuthorizeURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]struct {
		level Level
		found string
	}{
		gone(t):                            {Broken, "no answer"},
		serve(t, 404, ""):                  {Broken, "status 404"},
		serve(t, 200, "yes"):               {Broken, "no answer"},
		serve(t, 200, `{"allowed":true}`):  {Warning, "whom it cannot know"},
		serve(t, 200, `{"allowed":false}`): {Fine, "refuses"},
		serve(t, 403, ""):                  {Fine, "refuses"},
		serveFunc(t, http.RedirectHandler("/", http.StatusFound).ServeHTTP): {Broken, "302"},
	} {
		r := &Report{}
		(&Local{AuthorizeURL: url}).checkAuthorizer(t.Context(), r, client(t))
		holds(t, r, "authorize URL", want.level, want.found)
	}
}

func TestUpstream(t *testing.T) {
	t.Parallel()
	const models = `{"data":[{"id":"qwen"},{"id":"llama"}]}`
	for name, c := range map[string]struct {
		url, model string
		level      Level
		found      string
	}{
		"none":           {"", "", Fine, "built-in"},
		"down":           {gone(t), "qwen", Broken, "connection refused"},
		"wrong key":      {serve(t, 401, `{"error":"bad key"}`), "", Broken, "bad key"},
		"no list":        {serve(t, 404, ""), "", Warning, "no list of models"},
		"a page":         {serve(t, 200, "<html>"), "", Broken, "not in OpenAI's form"},
		"nothing loaded": {serve(t, 200, `{"data":[]}`), "", Broken, "no models"},
		"an odd entry":   {serve(t, 200, `{"data":[{"id":"qwen","created":"x"},7]}`), "", Fine, "1 models"},
		"another model":  {serve(t, 200, models), "gpt", Broken, `no model "gpt"`},
		"fine":           {serve(t, 200, models), "llama", Fine, "2 models"},
	} {
		r := &Report{}
		l := &Local{}
		if c.url != "" {
			l.Upstreams = []Upstream{{Options: openai.Options{BaseURL: c.url, Model: c.model}}}
		}
		l.checkUpstreams(t.Context(), r, client(t))
		t.Log(name)
		holds(t, r, "upstream", c.level, c.found)
	}
}

// TestUpstreams checks that each of several is examined by itself, and named.
func TestUpstreams(t *testing.T) {
	t.Parallel()
	r := &Report{}
	(&Local{Upstreams: []Upstream{
		{Name: "near", Options: openai.Options{BaseURL: serve(t, 200, `{"data":[{"id":"qwen"}]}`) + "/"}},
		{Name: "far", Options: openai.Options{BaseURL: serve(t, 401, `{"error":"bad key"}`)}},
	}}).checkUpstreams(t.Context(), r, client(t))
	holds(t, r, "upstream near", Fine, "1 models")
	holds(t, r, "upstream far", Broken, "bad key")
	for _, f := range r.Findings {
		if f.Level == Broken && f.Do != "set key of far in upstreams to a key that it takes" {
			t.Errorf("the advice is %q", f.Do)
		}
	}
}

// TestCompletion requests a completion of an upstream that works and of one that fails.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, works := range []bool{true, false} {
		url := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
			switch body, _ := io.ReadAll(r.Body); {
			case r.Method == http.MethodGet:
				_, _ = io.WriteString(w, `{"data":[{"id":"qwen"}]}`)
			case !works || !strings.Contains(string(body), `"model":"qwen"`) ||
				!strings.Contains(string(body), `"max_tokens":1`):
				http.Error(w, `{"error":{"message":"out of memory"}}`, http.StatusBadRequest)
			default:
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Yes\"}}]}\n\n"+
					"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n"+
					"data: [DONE]\n\n")
			}
		})
		r := &Report{}
		l := &Local{Upstreams: []Upstream{{Options: openai.Options{BaseURL: url + "/v1"}}}, Deep: true}
		l.checkUpstreams(t.Context(), r, client(t))
		if works {
			holds(t, r, "upstream", Fine, "qwen completes")
		} else {
			holds(t, r, "upstream", Broken, "out of memory")
		}
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for off, want := range map[time.Duration]Level{
		0: Fine, 30 * time.Second: Warning, -30 * time.Second: Warning,
		-time.Hour: Broken,
	} {
		url := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(-off).UTC().Format(http.TimeFormat))
		})
		tr := &http.Transport{}
		c := &clocks{next: tr, begun: time.Now()}
		resp, err := (&http.Client{Transport: c}).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		tr.CloseIdleConnections()
		r := &Report{}
		c.check(r)
		found := "off the clock of 127.0.0.1"
		if want == Fine {
			found = "within"
		}
		holds(t, r, "clock", want, found)
	}
	r := &Report{}
	(&clocks{begun: time.Now()}).check(r)
	holds(t, r, "clock", Skipped, "no other server")
}
