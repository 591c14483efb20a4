package middleware_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware"
)

// serve runs one request through h.
func serve(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })

func TestRequestID(t *testing.T) {
	h := middleware.RequestID(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, middleware.RequestIDFrom(r.Context()))
	}))
	for id, kept := range map[string]bool{
		"": false, "a": true, "0190a5e4-7b1c-7def": true, "Root=1-67/a+b:c~d_e.": true, strings.Repeat("a", 128): true,
		strings.Repeat("a", 129): false, "a b": false, "a\tb": false, "é": false, `a"b`: false, "<script>": false,
		"a,b": false, "a\x00": false,
	} {
		w := serve(h, "GET", "/", "X-Request-Id", id)
		got := w.Header().Get("X-Request-Id")
		if got != w.Body.String() || (got == id) != kept ||
			!kept && !regexp.MustCompile(`^[A-Z2-7]{26}$`).MatchString(got) {
			t.Errorf("%q became %q, %q", id, got, w.Body)
		}
	}
	if middleware.RequestIDFrom(t.Context()) != "" {
		t.Error("an id from nowhere")
	}
}

func TestSecurityHeaders(t *testing.T) {
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fail(w, r, errs.ErrForbidden) })
	h := middleware.SecurityHeaders(middleware.CORS(middleware.CORSOptions{})(refuse))
	for _, method := range []string{"GET", "OPTIONS"} {
		if w := serve(h, method, "/", "Origin", "https://x.example", "Access-Control-Request-Method",
			"GET"); w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", method, w.Header())
		}
	}
}

// TestCORS checks which origins get which headers, in preflights and in other responses.
func TestCORS(t *testing.T) {
	const app = "https://app.example.com"
	const methods = "GET, POST, PUT, DELETE, HEAD, OPTIONS"
	const request = "Authorization, Content-Type, Last-Event-ID, Prefer, Idempotency-Key, If-None-Match, " +
		"Producer-Id, Producer-Epoch, Producer-Seq, Api-Key, X-Api-Key"
	const exposed = "Location, Duckwire-Stream, Retry-After, ETag, Content-Range, Duckwire-Position, Stream-Next-Offset, " +
		"X-Request-Id, WWW-Authenticate, Allow, Accept-Encoding, Retry-After-Ms, X-Should-Retry, OpenAI-Model, " +
		"OpenAI-Organization, OpenAI-Processing-Ms, OpenAI-Version, X-RateLimit-Limit-Requests, X-RateLimit-Limit-Tokens, " +
		"X-RateLimit-Remaining-Requests, X-RateLimit-Remaining-Tokens, X-RateLimit-Reset-Requests, " +
		"X-RateLimit-Reset-Tokens"
	for name, c := range map[string]struct {
		allowed              []string
		origin, by           string
		origins, credentials string
		vary                 bool
	}{
		"none by default":       {nil, app, "", "", "", false},
		"the one":               {[]string{"https://a.example", app}, app, "", app, "true", true},
		"configured loosely":    {[]string{"HTTPS://App.example.com/ "}, app, "", app, "true", true},
		"another":               {[]string{app}, "https://evil.example", "", "", "", true},
		"another scheme":        {[]string{app}, "http://app.example.com", "", "", "", true},
		"another port":          {[]string{app}, app + ":444", "", "", "", true},
		"a longer one":          {[]string{app}, app + ".evil.example", "", "", "", true},
		"null":                  {[]string{app}, "null", "", "", "", true},
		"null, though listed":   {[]string{"null"}, "null", "", "", "", false},
		"no origin":             {[]string{app}, "", "", "", "", true},
		"any, no credentials":   {[]string{"*"}, "https://evil.example", "", "*", "", true},
		"any, but one by name":  {[]string{"*", app}, app, "", app, "true", true},
		"any, and not that one": {[]string{"*", app}, "https://evil.example", "", "*", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			reached := false
			refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				reached = true
				// errors carry the headers too, and preflights need no authentication
				fail(w, r, errs.ErrUnauthenticated)
			})
			h := middleware.CORS(middleware.CORSOptions{AllowedOrigins: c.allowed})(refuse)
			check := func(what string, w *httptest.ResponseRecorder, status int, more map[string]string) {
				t.Helper()
				want := map[string]string{
					"Access-Control-Allow-Origin":      c.origins,
					"Access-Control-Allow-Credentials": c.credentials, "Vary": "",
				}
				if c.vary {
					want["Vary"] = "Origin"
				}
				if c.origins != "" {
					want["Vary"] += more["Vary"]
				}
				for _, k := range []string{
					"Access-Control-Expose-Headers", "Access-Control-Allow-Methods",
					"Access-Control-Allow-Headers", "Access-Control-Max-Age",
				} {
					want[k] = ""
					if c.origins != "" {
						want[k] = more[k]
					}
				}
				for k, v := range want {
					if got := strings.Join(w.Header().Values(k), "|"); got != v {
						t.Errorf("%s: %s is %q; want %q", what, k, got, v)
					}
				}
				if w.Code != status {
					t.Errorf("%s: status %d", what, w.Code)
				}
			}
			check("an error", serve(h, "GET", "/", "Origin", c.origin), 401,
				map[string]string{"Access-Control-Expose-Headers": exposed})
			reached = false
			preflight := serve(h, "OPTIONS", "/", "Origin", c.origin, "Access-Control-Request-Method", "POST")
			if c.origin == "" {
				return // then it is not a preflight
			}
			check("the preflight", preflight, 204,
				map[string]string{
					"Access-Control-Allow-Methods": methods, "Access-Control-Allow-Headers": request,
					"Access-Control-Max-Age": "7200",
					"Vary":                   "|Access-Control-Request-Headers|Access-Control-Request-Private-Network",
				})
			if reached || preflight.Body.Len() != 0 {
				t.Error("the preflight reached the handler")
			}
			if serve(h, "OPTIONS", "/", "Origin", c.origin); !reached {
				t.Error("an OPTIONS request that is no preflight did not reach the handler")
			}
		})
	}
	more := serve(middleware.CORS(middleware.CORSOptions{
		AllowedOrigins: []string{app},
		AllowHeaders:   []string{"Stream-Closed"}, ExposeHeaders: []string{"Accept-Ranges"},
	})(ok),
		"OPTIONS", "/", "Origin", app, "Access-Control-Request-Method", "PUT")
	if got := more.Header().Get("Access-Control-Allow-Headers"); got != request+", Stream-Closed" {
		t.Errorf("with more headers: %q", got)
	}
}

// TestDecodeBodyOnServer: bodies of known and of unknown length have the same limit.
func TestDecodeBodyOnServer(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, err := middleware.DecodeBody(r, 10)
		must(err)
		b, err := io.ReadAll(r.Body)
		if err != nil {
			var limit *errs.LimitError
			if !errors.As(err, &limit) || limit.Limit != 10 {
				t.Errorf("got %v", err)
			}
			fail(w, r, err)
			return
		}
		_, _ = w.Write(b)
	})
	server := httptest.NewServer(h)
	defer server.Close()
	for body, want := range map[string]int{
		"": 200, "0123456789": 200, "0123456789a": 413,
		strings.Repeat("x", 1<<20): 413,
	} {
		for _, known := range []bool{true, false} {
			var reader io.Reader = strings.NewReader(body)
			if !known {
				reader = io.MultiReader(reader) // no length: chunked
			}
			res, err := server.Client().Post(server.URL, "text/plain", reader)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if res.StatusCode != want || want == 200 && string(got) != body {
				t.Errorf("%d bytes (known %t): %d %.40s", len(body), known, res.StatusCode, got)
			}
		}
	}
}

// newLog returns a JSON logger and a function that returns the lines written so far.
func newLog() (*slog.Logger, func() []map[string]any) {
	var b bytes.Buffer
	return slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})),
		func() (lines []map[string]any) {
			for line := range bytes.Lines(b.Bytes()) {
				m := map[string]any{}
				must(json.Unmarshal(line, &m))
				lines = append(lines, m)
			}
			return lines
		}
}

func TestAccessLog(t *testing.T) {
	logger, lines := newLog()
	ada := "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.AccessLog(logger, "/healthz"))
	r.Get("/healthz", ok)
	r.Group(func(r chi.Router) {
		r.Use(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Has("api_key") {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				middleware.NoteUser(r.Context(), "ada")
				next.ServeHTTP(w, r)
			})
		})
		r.Get("/v1/streams/{id}", ok)
		r.Get("/v1/broken", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(502) })
	})
	serve(r, "GET", "/v1/streams/cmp_1?after=E.1&token="+ada, "X-Request-Id", "r1")
	serve(r, "GET", "/v1/streams/cmp_1?api_key=dwk_wrong&%54oken=x"+ada, "X-Request-Id", "r2")
	serve(r, "GET", "/v1/broken", "Authorization", "Bearer "+ada, "X-Request-Id", "r3")
	serve(r, "GET", "/healthz", "X-Request-Id", "r4")
	serve(r, "GET", "/none/of%0Athese", "X-Request-Id", "r5")
	want := []map[string]any{
		{
			"level": "INFO", "msg": "request", "method": "GET", "route": "/v1/streams/{id}", "path": "/v1/streams/cmp_1",
			"status": 200.0, "bytes": 2.0, "request_id": "r1", "user": "ada", "query": "after=E.1&token=REDACTED",
		},
		{
			"level": "INFO", "msg": "request", "method": "GET", "route": "/v1/streams/{id}", "path": "/v1/streams/cmp_1",
			"status": 401.0, "bytes": 0.0, "request_id": "r2", "query": "api_key=REDACTED&%54oken=REDACTED",
		},
		{
			"level": "WARN", "msg": "request", "method": "GET", "route": "/v1/broken", "path": "/v1/broken",
			"status": 502.0, "bytes": 0.0, "request_id": "r3", "user": "ada",
		},
		{
			"level": "DEBUG", "msg": "request", "method": "GET", "route": "/healthz", "path": "/healthz", "status": 200.0,
			"bytes": 2.0, "request_id": "r4",
		},
		{
			"level": "INFO", "msg": "request", "method": "GET", "path": "/none/of\nthese", "status": 404.0, "bytes": 19.0,
			"request_id": "r5",
		},
	}
	got := lines()
	if len(got) != len(want) {
		t.Fatalf("%d lines: %v", len(got), got)
	}
	for i, line := range got {
		if _, ok := line["duration"].(float64); !ok {
			t.Errorf("no duration: %v", line)
		}
		delete(line, "duration")
		delete(line, "time")
		if i == 4 {
			delete(line, "route") // chi's name for no route
		}
		if fmt.Sprint(line) != fmt.Sprint(want[i]) {
			t.Errorf("line %d is\n%v\nwant\n%v", i, line, want[i])
		}
		if strings.Contains(fmt.Sprint(line), ada) || strings.Contains(fmt.Sprint(line), "dwk_") {
			t.Error("the log holds a credential")
		}
	}
}

func TestRedactQuery(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                 "",
		"a=1&b":                            "a=1&b",
		"token=x":                          "token=REDACTED",
		"token":                            "token",
		"token=":                           "token=REDACTED",
		"a=1&token=x=y&b=2":                "a=1&token=REDACTED&b=2",
		"TOKEN=x&Api_Key=y&access_token=z": "TOKEN=REDACTED&Api_Key=REDACTED&access_token=REDACTED",
		"%74%6f%6B%65%6e=x":                "%74%6f%6B%65%6e=REDACTED",
		"a=1;token=x":                      "a=1&token=REDACTED",
		"params[token]=x&token[0]=y":       "params[token]=x&token[0]=REDACTED",
		"%zz=x":                            "%zz=REDACTED",
		"tokens=x":                         "tokens=x",
		"+token=x":                         "+token=x",
		"api-key=x&X-Api-Key=y":            "api-key=REDACTED&X-Api-Key=REDACTED",
	} {
		if got := middleware.RedactQuery(raw); got != want {
			t.Errorf("%q became %q; want %q", raw, got, want)
		}
	}
}

func TestRecover(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		status  int // 0: the connection is cut
		logged  int
	}{
		"before anything": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1")
			panic("ouch")
		}, 500, 1},
		"an error":         {func(w http.ResponseWriter, r *http.Request) { panic(io.ErrUnexpectedEOF) }, 500, 1},
		"nil dereferenced": {func(w http.ResponseWriter, r *http.Request) { _ = *(*int)(nil) }, 500, 1},
		"after a write": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "x")
			panic("ouch")
		}, 0, 1},
		"after a header": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			panic("ouch")
		}, 0, 1},
		"after a flush": {func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			panic("ouch")
		}, 0, 1},
		"after a 103": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(103)
			panic("ouch")
		}, 500, 1},
		"an abort": {func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, 0, 0},
		"an abort, midway": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "x")
			panic(http.ErrAbortHandler)
		}, 0, 0},
		"nothing goes amiss": {ok, 200, 0},
	} {
		t.Run(name, func(t *testing.T) {
			logger, lines := newLog()
			done := make(chan struct{})
			h := middleware.RequestID(middleware.Recover(logger, fail)(c.handler))
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(done)
				h.ServeHTTP(w, r)
			}))
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
			server.Start()
			defer server.Close()
			res, err := server.Client().Get(server.URL + "/path")
			if err == nil {
				_, err = io.ReadAll(res.Body)
				_ = res.Body.Close()
			}
			<-done
			if c.status == 0 && err == nil {
				t.Errorf("the client got a whole answer, %d", res.StatusCode)
			}
			if c.status != 0 && (err != nil || res.StatusCode != c.status) {
				t.Errorf("got %v, %v", res, err)
			}
			got := lines()
			if len(got) != c.logged {
				t.Fatalf("logged %v", got)
			}
			if c.logged == 1 && (got[0]["msg"] != "panic" || got[0]["path"] != "/path" || got[0]["request_id"] == "" ||
				!strings.Contains(fmt.Sprint(got[0]["stack"]), "plumbing_test.go")) {
				t.Errorf("logged %v", got)
			}
		})
	}
}

// TestAccessLogOfAborted: an aborted response is logged as aborted.
func TestAccessLogOfAborted(t *testing.T) {
	logger, lines := newLog()
	h := middleware.AccessLog(logger)(middleware.Recover(logger,
		fail)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "half")
		panic(http.ErrAbortHandler)
	})))
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler {
				t.Errorf("it became %v", p)
			}
		}()
		serve(h, "GET", "/")
	}()
	if got := lines(); len(got) != 1 || got[0]["aborted"] != true || got[0]["status"] != 200.0 ||
		got[0]["bytes"] != 4.0 {
		t.Errorf("logged %v", got)
	}
}

// TestWrappersPassOn: flushing, write deadlines and hijacking work through all wrappers, on a real server.
func TestWrappersPassOn(t *testing.T) {
	logger, lines := newLog()
	done := make(chan struct{})
	wrap := func(h http.HandlerFunc) http.Handler {
		var handler http.Handler = middleware.SecurityHeaders(h)
		handler = middleware.AccessLog(logger)(middleware.Recover(logger,
			fail)(middleware.CORS(middleware.CORSOptions{})(handler)))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { done <- struct{}{} }()
			handler.ServeHTTP(w, r)
		})
	}
	mux := http.NewServeMux()
	release := make(chan struct{})
	mux.Handle("/flush", wrap(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Errorf("write deadline: %v", err)
		}
		fmt.Fprint(w, "first")
		if err := rc.Flush(); err != nil {
			t.Errorf("flush: %v", err)
		}
		if _, ok := w.(http.Flusher); !ok {
			t.Error("no http.Flusher")
		}
		<-release
	}))
	mux.Handle("/hijack", wrap(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "mine")
		_ = rw.Flush()
		panic("after the hijack")
	}))
	mux.Handle("/raw", wrap(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		must(err)
		defer conn.Close()
		fmt.Fprint(conn, "mine")
		panic("after the hijack") // no error must be written to a hijacked connection
	}))
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = slog.NewLogLogger(failingHandler{t}, 0)
	server.Start()
	defer server.Close()

	res, err := server.Client().Get(server.URL + "/flush")
	must(err)
	first := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first" {
		t.Errorf("got %q, %v", first, err)
	}
	close(release)
	_ = res.Body.Close()
	<-done

	for path, prefix := range map[string]string{"/hijack": "HTTP/1.1 101", "/raw": "mine"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		must(err)
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		all, err := io.ReadAll(bufio.NewReader(conn))
		_ = conn.Close()
		<-done
		if err != nil || !strings.HasPrefix(string(all), prefix) || !strings.HasSuffix(string(all), "mine") {
			t.Errorf("%s: got %q, %v", path, all, err)
		}
	}
	for _, line := range lines() {
		want := map[any]any{"/flush": 200.0, "/hijack": 101.0, "/raw": 0.0}[line["path"]]
		if line["msg"] == "request" && (line["status"] != want || line["aborted"] != nil) {
			t.Errorf("logged %v", line)
		}
	}
	if n := len(lines()); n != 5 {
		t.Errorf("%d lines", n)
	}
}

// failingHandler is a log handler that fails the test when net/http logs an error.
type failingHandler struct{ t *testing.T }

func (h failingHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h failingHandler) Handle(_ context.Context, r slog.Record) error {
	h.t.Error("net/http complains: " + r.Message)
	return nil
}
func (h failingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h failingHandler) WithGroup(string) slog.Handler      { return h }

// TestObserve: a middleware of another package shares the recorder, and lasting is called once.
func TestObserve(t *testing.T) {
	for name, c := range map[string]struct {
		serve   func(w http.ResponseWriter)
		lasting int // how often lasting is called
		status  int
	}{
		"short": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusTeapot) }, 0, http.StatusTeapot},
		"empty": {func(http.ResponseWriter) {}, 0, http.StatusOK},
		"flushed": {func(w http.ResponseWriter) {
			rc := http.NewResponseController(w)
			_ = rc.Flush()
			fmt.Fprint(w, "x")
			_ = rc.Flush()
		}, 1, http.StatusOK},
		"Flusher": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusAccepted)
			w.(http.Flusher).Flush()
		}, 1, http.StatusAccepted},
		"hijacked": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusSwitchingProtocols)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				conn.Close()
			}
		}, 1, http.StatusSwitchingProtocols},
	} {
		t.Run(name, func(t *testing.T) {
			told, inside := 0, 0
			got := make(chan int, 1)
			var outer func(aborted bool) int
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w, outer = middleware.Observe(w, func() { told, inside = told+1, outer(false) })
				middleware.Recover(slog.New(slog.DiscardHandler),
					fail)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					c.serve(w)
				})).ServeHTTP(w, r)
				got <- outer(false)
			}))
			defer srv.Close()
			if resp, err := http.Get(srv.URL); err == nil { // a hijacked connection has no response
				resp.Body.Close()
			}
			if status := <-got; told != c.lasting || status != c.status || told > 0 && inside != c.status {
				t.Errorf("told %d times, status %d, then %d", told, inside, status)
			}
		})
	}
}
