package doctor

import (
	"compress/gzip"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/hubtest"
)

var allCaps = map[string][]string{"*": {"*"}}

// examine examines the server behind a proxy with a token that allows everything.
func examine(t *testing.T, proxy func(http.Handler) http.Handler) *Report {
	t.Helper()
	r := &Report{}
	(&Remote{Base: startServer(t, proxy), Token: token(t, allCaps), Patience: hubtest.Hung}).Examine(t.Context(), r)
	return r
}

// only runs some of the checks on a server behind a proxy.
func only(t *testing.T, patience time.Duration, proxy func(http.Handler) http.Handler,
	checks ...func(e *examination),
) *Report {
	t.Helper()
	r := &Report{}
	e := newExamination(&Remote{Base: startServer(t, proxy), Token: token(t, allCaps), Patience: patience}, r)
	defer e.client.CloseIdleConnections()
	for _, check := range checks {
		check(e)
	}
	return r
}

// The checks as functions.
func streams(e *examination) { e.eventStream(context.Background()) }
func polls(e *examination)   { e.longPoll(context.Background()) }
func resumes(e *examination) { e.resume(context.Background()) }
func sockets(e *examination) { e.webSocket(context.Background()) }

// hurry is the timeout in tests in which nothing arrives. It must be long enough for what does arrive on a busy
// machine.
const hurry = 2 * time.Second

func TestNothingInBetween(t *testing.T) {
	t.Parallel()
	r := examine(t, nil)
	if r.Level() != Fine {
		t.Error(text(t, r))
	}
	for _, check := range []string{"server", "token", "websocket", "event stream", "long-poll", "resume"} {
		holds(t, r, check, Fine, "")
	}
	holds(t, r, "idle", Skipped, "--deep")
}

// TestHTTP2 uses TLS and HTTP/2 for everything but WebSockets, which need their own connections.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	srv := startBare(t, func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.StartTLS()
	})
	r := &Report{}
	(&Remote{
		Base: srv.URL, Token: token(t, allCaps), Patience: hubtest.Hung,
		Transport: srv.Client().Transport,
	}).Examine(t.Context(), r)
	if r.Level() != Fine {
		t.Error(text(t, r))
	}
	holds(t, r, "server", Fine, "HTTP/2.0")
	holds(t, r, "certificate", Fine, "example.com")
	holds(t, r, "websocket", Fine, "it opens")
}

// holding is a proxy that buffers a response until it has this many bytes or ends, and does not support WebSockets.
func holding(most int) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Upgrade")
			h := &bufferedWriter{ResponseWriter: w, most: most}
			next.ServeHTTP(h, r)
			h.release()
		})
	}
}

// bufferedWriter buffers what is written. It has no Unwrap, so that nothing can bypass it.
type bufferedWriter struct {
	http.ResponseWriter
	most, status int
	held         []byte
	free         bool
}

func (h *bufferedWriter) WriteHeader(status int) { h.status = status }

func (h *bufferedWriter) Write(p []byte) (int, error) {
	h.held = append(h.held, p...)
	if h.free || len(h.held) >= h.most {
		h.release()
	}
	return len(p), nil
}

func (h *bufferedWriter) release() {
	if !h.free && h.status != 0 {
		h.ResponseWriter.WriteHeader(h.status)
	}
	h.free = true
	_, _ = h.ResponseWriter.Write(h.held)
	h.held = nil
	_ = http.NewResponseController(h.ResponseWriter).Flush()
}

// FlushError implements what http.ResponseController looks for, and flushes nothing.
func (h *bufferedWriter) FlushError() error { return nil }

// SetWriteDeadline implements what http.ResponseController looks for.
func (h *bufferedWriter) SetWriteDeadline(time.Time) error { return nil }

func TestProxyThatHoldsBackToTheEnd(t *testing.T) {
	t.Parallel()
	r := &Report{}
	(&Remote{Base: startServer(t, holding(1<<30)), Token: token(t, allCaps), Patience: hurry}).Examine(t.Context(), r)
	holds(t, r, "event stream", Broken, "until it ends")
	holds(t, r, "websocket", Broken, "status 426")
	holds(t, r, "long-poll", Fine, "the answer waits")
	holds(t, r, "resume", Skipped, "none comes through")
}

func TestProxyThatHoldsBackUntilItIsFull(t *testing.T) {
	t.Parallel()
	holds(t, only(t, 0, holding(16<<10), streams), "event stream", Warning, "until a buffer is full")
}

// TestProxyThatHoldsLater: a proxy passes on the first block, and nothing after it.
func TestProxyThatHoldsLater(t *testing.T) {
	t.Parallel()
	r := only(t, 0, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.Header.Get("Accept"), "event-stream") {
				w = &firstWriter{bufferedWriter{ResponseWriter: w, most: 1 << 30}}
			}
			next.ServeHTTP(w, r)
		})
	}, streams)
	holds(t, r, "event stream", Broken, "later events are held back")
}

// firstWriter passes on the first write only.
type firstWriter struct{ bufferedWriter }

func (f *firstWriter) Write(p []byte) (int, error) {
	if !f.free {
		f.held = p
		f.release()
		return len(p), nil
	}
	f.held = append(f.held, p...)
	return len(p), nil
}

// changed is a proxy that changes requests.
func changed(change func(r *http.Request)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			change(r)
			next.ServeHTTP(w, r)
		})
	}
}

func TestProxyThatStripsHeaders(t *testing.T) {
	t.Parallel()
	r := only(t, 0, changed(func(r *http.Request) { r.Header.Del("Last-Event-ID") }), resumes)
	holds(t, r, "resume", Broken, "Last-Event-ID does not reach the server")
}

func TestProxyThatRenamesTheHost(t *testing.T) {
	t.Parallel()
	r := only(t, hubtest.Hung, changed(func(r *http.Request) { r.Host = "duckwire:4000" }), sockets)
	holds(t, r, "websocket", Fine, "")
	holds(t, r, "origin", Warning, "another name")
}

func TestProxyThatTakesTheTokenAway(t *testing.T) {
	t.Parallel()
	holds(t, examine(t, changed(func(r *http.Request) { r.Header.Del("Authorization") })), "token", Broken, "401")
}

// TestProxyThatForgetsPositions simulates two servers without shared state.
func TestProxyThatForgetsPositions(t *testing.T) {
	t.Parallel()
	r := only(t, hurry, changed(func(r *http.Request) {
		if r.URL.Query().Has("after") {
			r.URL.RawQuery = "after=now"
		}
	}), resumes)
	holds(t, r, "resume", Broken, "another server answers")
}

// TestProxyThatRefusesToWait: a proxy answers a long-poll immediately.
func TestProxyThatRefusesToWait(t *testing.T) {
	t.Parallel()
	r := only(t, 0, changed(func(r *http.Request) {
		if q := r.URL.Query(); q.Has("wait") {
			q.Del("wait")
			r.URL.RawQuery = q.Encode()
		}
	}), polls)
	holds(t, r, "long-poll", Broken, "answered at once")
}

func TestProxyThatCompresses(t *testing.T) {
	t.Parallel()
	r := only(t, 0, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.Header.Get("Accept"), "event-stream") && r.Header.Get("Accept-Encoding") == "gzip" {
				w = &gzipWriter{bufferedWriter{ResponseWriter: w}, gzip.NewWriter(w)}
			}
			next.ServeHTTP(w, r)
		})
	}, streams)
	holds(t, r, "event stream", Warning, "compresses")
	holds(t, r, "event stream", Fine, "")
}

type gzipWriter struct {
	bufferedWriter
	zip *gzip.Writer
}

func (g *gzipWriter) WriteHeader(status int) {
	g.Header().Set("Content-Encoding", "gzip")
	g.ResponseWriter.WriteHeader(status)
}

func (g *gzipWriter) Write(p []byte) (int, error) {
	n, err := g.zip.Write(p)
	if err != nil {
		return n, err
	}
	return n, g.FlushError()
}

func (g *gzipWriter) FlushError() error {
	if err := g.zip.Flush(); err != nil {
		return err
	}
	return http.NewResponseController(g.ResponseWriter).Flush()
}

// TestCutWhenSilent: a proxy closes an idle event stream.
func TestCutWhenSilent(t *testing.T) {
	t.Parallel()
	cut := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("hb") == "60" {
				go func(after <-chan time.Time) {
					select {
					case <-after:
						// net/http then cancels the request
						_ = http.NewResponseController(w).SetReadDeadline(time.Now())
					case <-r.Context().Done():
					}
				}(time.After(200 * time.Millisecond))
			}
			next.ServeHTTP(w, r)
		})
	}
	for _, c := range []struct {
		proxy func(http.Handler) http.Handler
		wait  time.Duration
		level Level
		found string
	}{{cut, time.Minute, Broken, "is cut after "}, {nil, 200 * time.Millisecond, Fine, "are not cut"}} {
		r := &Report{}
		e := newExamination(&Remote{Base: startServer(t, c.proxy), Token: token(t, allCaps), Idle: c.wait}, r)
		e.idle(t.Context(), true)
		e.client.CloseIdleConnections()
		holds(t, r, "idle", c.level, c.found)
	}
}

func TestServersThatAreNone(t *testing.T) {
	t.Parallel()
	there := func(base, token string) *Report {
		r := &Report{}
		(&Remote{Base: base, Token: token}).Examine(t.Context(), r)
		return r
	}
	holds(t, there(gone(t), ""), "server", Broken, "no answer") // refused, or reset
	holds(t, there(serve(t, 200, "<html>Welcome to nginx!"), ""), "server", Broken, "not that of a Duckwire server")
	bad := there(serve(t, 502, "<html>Bad Gateway"), "")
	holds(t, bad, "server", Broken, "502")
	if out := text(t, bad); !strings.Contains(out, "whether Duckwire runs") {
		t.Errorf("the advice for a proxy without a server is\n%s", out)
	}
	redirect := serveFunc(t, http.RedirectHandler("https://stream.example.com/healthz",
		http.StatusMovedPermanently).ServeHTTP)
	holds(t, there(redirect, ""), "server", Broken, "redirects to https://stream.example.com")
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	holds(t, there(secure.URL, ""), "server", Broken, "certificate")

	ours := startServer(t, nil)
	r := there(ours, "")
	holds(t, r, "server", Fine, "it answers")
	holds(t, r, "token", Skipped, "none is given")
	holds(t, there(ours, "x.y.z"), "token", Broken, "401")
	holds(t, there(ours, token(t, map[string][]string{"other:*": {"*"}})), "token", Broken, "403")
}

func TestReportForPrograms(t *testing.T) {
	t.Parallel()
	r := &Report{}
	r.Fine("a", "well")
	r.Skip("b", "not looked at")
	if r.Level() != Fine {
		t.Errorf("what was not looked at counts: %v", r.Level())
	}
	r.Warn("c", "do <this>", "n is %d", 1)
	var b strings.Builder
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`"level": "warning",`, `"found": "n is 1"`, `"do": "do <this>"`,
		strconv.Quote("skipped"),
	} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("no %s in %s", part, b.String())
		}
	}
}

// TestUpstreamsOfTheServer checks what is told of a running server's upstreams.
func TestUpstreamsOfTheServer(t *testing.T) {
	t.Parallel()
	answers := func(status int, body string) func(http.Handler) http.Handler {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
		}
	}
	ask := func(e *examination) { e.upstreams(context.Background()) }
	r := only(t, hubtest.Hung, answers(200, `{"upstreams":[`+
		`{"name":"a","host":"h:1","healthy":true,"learned":["no usage"]},`+
		`{"name":"b","host":"h:2","healthy":false,"failures":3,"reason":"refused"}]}`), ask)
	holds(t, r, "upstream a", Fine, "h:1 has not failed lately; learned: no usage")
	holds(t, r, "upstream b", Warning, "h:2 has failed 3 times: refused")
	holds(t, only(t, hubtest.Hung, answers(403, `{}`), ask), "upstream", Skipped, "admin")
	holds(t, only(t, hubtest.Hung, answers(502, `<html>`), ask), "upstream", Warning, "502")
}
