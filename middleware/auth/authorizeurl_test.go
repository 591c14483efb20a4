package auth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
)

const authorizeURL = "https://app.example/authorize"

// application answers questions in a bubble.
type application struct {
	mu    sync.Mutex
	asked []string
	// answer returns the response to the n-th question, from 1 on.
	answer func(n int, ctx context.Context) (int, string)
}

func (a *application) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	must(err)
	a.mu.Lock()
	a.asked = append(a.asked, string(body))
	n := len(a.asked)
	a.mu.Unlock()
	status, text := a.answer(n, r.Context())
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Location": {authorizeURL}},
		Body: io.NopCloser(strings.NewReader(text)), Request: r,
	}, nil
}

func (a *application) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

func always(status int, text string) func(int, context.Context) (int, string) {
	return func(int, context.Context) (int, string) { return status, text }
}

func newURLAuthorizer(t *testing.T, app *application, o auth.URLAuthorizerOptions) *auth.URLAuthorizer {
	t.Helper()
	o.URL, o.HTTPClient = authorizeURL, &http.Client{Transport: app}
	a, err := auth.NewURLAuthorizer(o)
	must(err)
	return a
}

func identity(user string, caps map[string][]string) *rights.Identity {
	c, err := rights.ParseCaps(caps, user)
	must(err)
	return &rights.Identity{User: user, Caps: c, TokenID: "t-" + user}
}

func TestURLAuthorizerQuestion(t *testing.T) {
	app := &application{answer: always(200, `{"allowed":true}`)}
	a := newURLAuthorizer(t, app, auth.URLAuthorizerOptions{})
	id := identity("ada", map[string][]string{"code:1": {"publish"}})
	if err := a.Authorize(t.Context(), id, "code:1", "publish"); err != nil || app.count() != 0 {
		t.Errorf("what the token allows was asked about: %v", err)
	}
	if err := a.Authorize(t.Context(), id, "code:1", "subscribe"); err != nil {
		t.Error(err)
	}
	want := `{"user":"ada","topic":"code:1","action":"subscribe","token_id":"t-ada","service":false}`
	if app.asked[0] != want {
		t.Errorf("asked %s", app.asked[0])
	}
	id.Actor, id.TokenID = &rights.Identity{User: "ci", Service: true}, "ci"
	_ = a.Authorize(t.Context(), id, "code:1", "subscribe")
	want = `{"user":"ada","topic":"code:1","action":"subscribe","token_id":"ci","service":false,"actor":"ci"}`
	if app.asked[1] != want {
		t.Errorf("asked %s", app.asked[1])
	}
	if err := a.Authorize(t.Context(), nil, "code:1", "subscribe"); !errors.Is(err, errs.ErrUnauthenticated) ||
		app.count() != 2 {
		t.Errorf("nobody: %v", err)
	}
}

// TestURLAuthorizerAnswers tests the application's answers, and how long each is cached.
func TestURLAuthorizerAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
		kept   time.Duration // how long the answer is cached
	}{
		"yes":                  {200, `{"allowed":true}`, nil, 30 * time.Second},
		"no":                   {200, `{"allowed":false}`, errs.ErrForbidden, 30 * time.Second},
		"yes for a while":      {200, `{"allowed":true,"ttl":5,"more":[]}`, nil, 5 * time.Second},
		"no for half a second": {200, `{"allowed":false,"ttl":0.5}`, errs.ErrForbidden, time.Second / 2},
		"yes, this once":       {200, `{"allowed":true,"ttl":0}`, nil, 0},
		"yes for ever":         {200, `{"allowed":true,"ttl":1e300}`, nil, time.Hour},
		"401":                  {401, `{"allowed":true}`, errs.ErrForbidden, 30 * time.Second},
		"403":                  {403, ``, errs.ErrForbidden, 30 * time.Second},
		"500":                  {500, `{"allowed":true}`, errs.ErrUnavailable, time.Second},
		"404":                  {404, `{"allowed":true}`, errs.ErrUnavailable, time.Second},
		"201":                  {201, `{"allowed":true}`, errs.ErrUnavailable, time.Second},
		"204":                  {204, ``, errs.ErrUnavailable, time.Second},
		"a redirect":           {302, `{"allowed":true}`, errs.ErrUnavailable, time.Second},
		"a 307":                {307, `{"allowed":true}`, errs.ErrUnavailable, time.Second},
		"nothing":              {200, ``, errs.ErrUnavailable, time.Second},
		"no JSON":              {200, `yes`, errs.ErrUnavailable, time.Second},
		"true":                 {200, `true`, errs.ErrUnavailable, time.Second},
		"null":                 {200, `null`, errs.ErrUnavailable, time.Second},
		"neither":              {200, `{"ok":true}`, errs.ErrUnavailable, time.Second},
		"allowed null":         {200, `{"allowed":null}`, errs.ErrUnavailable, time.Second},
		"allowed a text":       {200, `{"allowed":"true"}`, errs.ErrUnavailable, time.Second},
		"allowed a number":     {200, `{"allowed":1}`, errs.ErrUnavailable, time.Second},
		"a negative ttl":       {200, `{"allowed":true,"ttl":-1}`, errs.ErrUnavailable, time.Second},
		"a ttl in words":       {200, `{"allowed":true,"ttl":"5s"}`, errs.ErrUnavailable, time.Second},
		"two answers":          {200, `{"allowed":true}{"allowed":true}`, errs.ErrUnavailable, time.Second},
		"cut off":              {200, `{"allowed":true`, errs.ErrUnavailable, time.Second},
		"enormous": {
			200, `{"allowed":true}` + strings.Repeat(" ", 64<<10), errs.ErrUnavailable,
			time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := &application{answer: always(c.status, c.body)}
				a := newURLAuthorizer(t, app, auth.URLAuthorizerOptions{})
				ask := func(times int) {
					t.Helper()
					if err := a.Authorize(t.Context(), identity("ada", nil), "code:1", "publish"); !errors.Is(err,
						c.want) || app.count() != times {
						t.Errorf("got %v after %d questions; want %v after %d", err, app.count(), c.want, times)
					}
				}
				ask(1)
				if c.kept > 0 {
					time.Sleep(c.kept - time.Nanosecond)
					ask(1)
					time.Sleep(time.Nanosecond)
				}
				ask(2)
			})
		})
	}
}

// TestURLAuthorizerHang: a timeout denies; concurrent requests share one question, and it is not repeated immediately.
func TestURLAuthorizerHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &application{answer: func(_ int, ctx context.Context) (int, string) { <-ctx.Done(); return 0, "" }}
		a := newURLAuthorizer(t, app, auth.URLAuthorizerOptions{})
		start := time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := a.Authorize(t.Context(), identity("ada", nil), "code:1", "publish"); !errors.Is(err,
					errs.ErrUnavailable) {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		if time.Since(start) != 2*time.Second || app.count() != 1 {
			t.Errorf("%d questions, %s", app.count(), time.Since(start))
		}
	})
}

// TestURLAuthorizerCallerLeaves: if the first caller's request is cancelled, the others still get the answer.
func TestURLAuthorizerCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &application{answer: func(_ int, ctx context.Context) (int, string) {
			time.Sleep(time.Second)
			return 200, `{"allowed":true}`
		}}
		a := newURLAuthorizer(t, app, auth.URLAuthorizerOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := a.Authorize(ctx, identity("ada", nil), "code:1", "publish"); !errors.Is(err, context.Canceled) {
				t.Errorf("the first: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := a.Authorize(t.Context(), identity("ada", nil), "code:1", "publish"); err != nil {
				t.Errorf("the second: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		if app.count() != 1 {
			t.Errorf("%d questions", app.count())
		}
	})
}

// TestURLAuthorizerKeys: an answer is only used for the same question.
func TestURLAuthorizerKeys(t *testing.T) {
	app := &application{answer: always(200, `{"allowed":true}`)}
	a := newURLAuthorizer(t, app, auth.URLAuthorizerOptions{})
	for i, q := range []struct {
		id     rights.Identity
		topic  string
		action rights.Action
	}{
		{rights.Identity{User: "ada", TokenID: "1"}, "a", "publish"},
		{rights.Identity{User: "ada", TokenID: "2"}, "a", "publish"},
		{rights.Identity{User: "bob", TokenID: "1"}, "a", "publish"},
		{rights.Identity{User: "ada", TokenID: "1"}, "b", "publish"},
		{rights.Identity{User: "ada", TokenID: "1"}, "a", "subscribe"},
		{rights.Identity{User: "ada", TokenID: "1", Service: true}, "a", "publish"},
		{rights.Identity{User: "ada1", TokenID: ""}, "a", "publish"},
		{rights.Identity{User: "ada", TokenID: "1", Actor: &rights.Identity{User: "ci", Service: true}}, "a", "publish"},
		{rights.Identity{User: "ada", TokenID: "1", Actor: &rights.Identity{User: "ci"}}, "a", "publish"},
	} {
		for range 2 {
			if err := a.Authorize(t.Context(), &q.id, q.topic, q.action); err != nil || app.count() != i+1 {
				t.Errorf("%+v: %v after %d questions", q, err, app.count())
			}
		}
	}
}

// TestURLAuthorizerBound: the least recently used answer is evicted first.
func TestURLAuthorizerBound(t *testing.T) {
	app := &application{answer: always(200, `{"allowed":true}`)}
	a := newURLAuthorizer(t, app, auth.URLAuthorizerOptions{MaxEntries: 2})
	for i, step := range []struct {
		topic string
		asked int
	}{{"a", 1}, {"b", 2}, {"a", 2}, {"c", 3}, {"a", 3}, {"b", 4}, {"a", 4}, {"c", 5}} {
		if err := a.Authorize(t.Context(), identity("ada", nil), step.topic, "publish"); err != nil ||
			app.count() != step.asked {
			t.Errorf("step %d: %v after %d questions", i, err, app.count())
		}
	}
}

// denyAll is an Authorizer that returns a fixed error.
type denyAll struct{ err error }

func (d denyAll) Authorize(context.Context, *rights.Identity, string, rights.Action) error {
	return d.err
}

func TestURLAuthorizerNext(t *testing.T) {
	app := &application{answer: always(200, `{"allowed":true}`)}
	broken := errors.New("broken")
	a := newURLAuthorizer(t, app, auth.URLAuthorizerOptions{Next: denyAll{broken}})
	if err := a.Authorize(t.Context(), identity("ada", nil), "a", "publish"); !errors.Is(err, broken) ||
		app.count() != 0 {
		t.Errorf("got %v", err)
	}
	a = newURLAuthorizer(t, app, auth.URLAuthorizerOptions{Next: denyAll{nil}})
	if err := a.Authorize(t.Context(), identity("ada", nil), "a", "publish"); err != nil || app.count() != 0 {
		t.Errorf("got %v", err)
	}
}

// TestURLAuthorizerOverHTTP uses a real server, whose redirect is not followed.
func TestURLAuthorizerOverHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ask", func(w http.ResponseWriter, r *http.Request) {
		var q map[string]any
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(400)
			return
		}
		fmt.Fprintf(w, `{"allowed":%t}`, q["topic"] == "a")
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/yes", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/yes", func(w http.ResponseWriter, r *http.Request) { t.Error("the redirect was followed") })
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, c := range []struct {
		path, topic string
		want        error
	}{
		{"/ask", "a", nil},
		{"/ask", "b", errs.ErrForbidden},
		{"/away", "a", errs.ErrUnavailable},
		{"/none", "a", errs.ErrUnavailable},
	} {
		a, err := auth.NewURLAuthorizer(auth.URLAuthorizerOptions{
			URL:        server.URL + c.path,
			HTTPClient: server.Client(),
		})
		must(err)
		if err := a.Authorize(t.Context(), identity("ada", nil), c.topic, "publish"); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.path, err)
		}
	}
	server.Close()
	a, err := auth.NewURLAuthorizer(auth.URLAuthorizerOptions{URL: server.URL + "/ask"})
	must(err)
	if err := a.Authorize(t.Context(), identity("ada", nil), "a", "publish"); !errors.Is(err, errs.ErrUnavailable) ||
		strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("a server that is gone: %v", err)
	}
}

func TestNewURLAuthorizerRefuses(t *testing.T) {
	for _, u := range []string{"", "/ask", "ftp://x/", "app.example:80/ask"} {
		if a, err := auth.NewURLAuthorizer(auth.URLAuthorizerOptions{URL: u}); a != nil || err == nil {
			t.Errorf("%q is taken", u)
		}
	}
}

// TestURLAuthorizerLoad asks many questions concurrently, for the race detector.
func TestURLAuthorizerLoad(t *testing.T) {
	app := &application{answer: func(n int, _ context.Context) (int, string) {
		return 200, fmt.Sprintf(`{"allowed":%t,"ttl":%d}`, true, n%3)
	}}
	a := newURLAuthorizer(t, app, auth.URLAuthorizerOptions{MaxEntries: 8})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				if err := a.Authorize(t.Context(), identity("ada", nil), string(bytes.Repeat([]byte("a"), 1+(g+i)%16)),
					"publish"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
