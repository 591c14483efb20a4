package pool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/provider/pool"
)

const answerOfB = "accepted, describe id of B, text B, finish stop"

func TestNewRefuses(t *testing.T) {
	a := pool.Member{Name: "a", Upstream: &fake{}}
	for want, members := range map[string][]pool.Member{
		"a pool needs an upstream":      nil,
		"needs a name":                  {{Upstream: &fake{}}},
		"and a provider":                {{Name: "a"}},
		`two upstreams are called "a"`:  {a, a},
		`upstream a: models: "g*t" may`: {{Name: "a", Upstream: &fake{}, Models: []string{"g*t"}}},
		`"" must have 1 to 256 bytes`:   {{Name: "a", Upstream: &fake{}, Models: []string{""}}},
		`"***" may have * at its begin`: {{Name: "a", Upstream: &fake{}, Models: []string{"***"}}},
	} {
		if _, err := pool.New(pool.Options{Members: members}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

// TestChoiceByModel checks which of three members is asked for a model.
func TestChoiceByModel(t *testing.T) {
	a, b, c := says("A"), says("B"), says("C")
	a.Models, b.Models, b.Model = []string{"gpt-*", "*-mini", "x"}, []string{"*coder*"}, "own"
	p := newPool(t, nil, a, b, c)
	for model, want := range map[string]string{
		"gpt-4o": "A", "o-mini": "A", "x": "A", "my-coder-7b": "B", "coder": "B", "own": "B", "": "B",
		"duckwire-local": "B", "xx": "C", "gpt": "C", "mini": "C",
	} {
		if got, err := ask(t.Context(), p, model); err != nil || !strings.Contains(got, "text "+want) {
			t.Errorf("%q: %s, %v; want %s", model, got, err, want)
		}
	}
	p = newPool(t, nil, a)
	for model, want := range map[string]string{
		"zz": `no upstream serves the model "zz"`, "": "names no model", "duckwire-local": "names no model",
	} {
		_, err := ask(t.Context(), p, model)
		var e *hub.ProviderError
		if !errors.As(err, &e) || e.Status != 404 || e.Code != "model_not_found" || !strings.Contains(e.Message, want) {
			t.Errorf("%q: %v; want %s", model, err, want)
		}
	}
}

// TestNextAfterFailure checks which failures before the first token lead to the next member, and that nothing of the
// failed one is seen.
func TestNextAfterFailure(t *testing.T) {
	for _, err := range []error{
		failure(502, "upstream_unreachable"), failure(504, "upstream_timeout"), failure(502, "upstream_unauthorized"),
		failure(502, "upstream_invalid"), failure(0, "upstream_error"), failure(500, "x"), failure(503, "x"),
		failure(429, "rate_limit_exceeded"), failure(402, "no_credit"), failure(408, "x"), errors.New("unknown"),
	} {
		if got, err2 := ask(t.Context(), newPool(t, nil, fails(err), says("B")), "m"); err2 != nil || got != answerOfB {
			t.Errorf("after %v: %s, %v", err, got, err2)
		}
	}
	for _, status := range []int{400, 403, 404, 409, 413, 422} {
		p := newPool(t, nil, fails(failure(status, "theirs")), says("B"))
		if got, err := ask(t.Context(), p, "m"); codeOf(err) != "theirs" || got != "accepted" {
			t.Errorf("after %d: %s, %v", status, got, err)
		}
		if !p.Upstreams()[0].Healthy {
			t.Errorf("%d counts as the member's failure", status)
		}
	}
}

// TestNoNextAfterFirstToken checks that a member which fails in the middle of its answer is not replaced.
func TestNoNextAfterFirstToken(t *testing.T) {
	for name, begin := range map[string]func(w hub.CompletionWriter){
		"text":   func(w hub.CompletionWriter) { _ = w.Text("A") },
		"chunk":  func(w hub.CompletionWriter) { _ = w.Chunk([]byte("{}"), "") },
		"finish": func(w hub.CompletionWriter) { w.Finish(hub.Finish{Reason: "stop"}) },
	} {
		p := newPool(t, nil, completing(func(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
			w.Describe(hub.CompletionInfo{ID: "a"})
			begin(w)
			return failure(502, "upstream_truncated")
		}), says("B"))
		got, err := ask(t.Context(), p, "m")
		if codeOf(err) != "upstream_truncated" || strings.Contains(got, "B") ||
			!strings.HasPrefix(got, "describe a, "+name) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		if u := p.Upstreams()[0]; u.Healthy || u.Failures != 1 || !strings.Contains(u.Reason, "upstream_truncated") {
			t.Errorf("%s: %+v", name, u)
		}
	}
}

// TestOwnEndIsFinal checks that the client's leaving and the stream's own limits are nobody's failure.
func TestOwnEndIsFinal(t *testing.T) {
	p := newPool(t, nil, says("A"), says("B"))
	rec := &recorder{err: errs.ErrClosed}
	if err := p.Complete(t.Context(), &hub.CompletionRequest{}, rec); !errors.Is(err, errs.ErrClosed) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p2 := newPool(t, nil, completing(func(ctx context.Context, _ *hub.CompletionRequest, _ hub.CompletionWriter) error {
		cancel()
		return ctx.Err()
	}), says("B"))
	if got, err := ask(ctx, p2, "m"); !errors.Is(err, context.Canceled) || got != "" {
		t.Errorf("%s, %v", got, err)
	}
	if !p.Upstreams()[0].Healthy || !p2.Upstreams()[0].Healthy {
		t.Error("it counts as the member's failure")
	}
}

// TestAllFail checks which failure the client gets.
func TestAllFail(t *testing.T) {
	wait := func(e *hub.ProviderError, seconds int) *hub.ProviderError {
		e.RetryAfter = time.Duration(seconds) * time.Second
		return e
	}
	for want, all := range map[string][]error{
		"upstream_unreachable 0s": {failure(502, "upstream_unreachable"), failure(504, "upstream_timeout")},
		"busy 3s": {
			failure(502, "upstream_unreachable"), wait(failure(429, "busy"), 9), wait(failure(503, "x"), 3),
		},
		"upstream_error 7s": {wait(failure(502, "upstream_unauthorized"), 7), failure(500, "upstream_error")},
		"x 0s":              {errors.New("unknown"), failure(500, "x")},
	} {
		var members []pool.Member
		for _, err := range all {
			members = append(members, fails(err))
		}
		got, err := ask(t.Context(), newPool(t, nil, members...), "m")
		var e *hub.ProviderError
		if !errors.As(err, &e) || e.Code+" "+e.RetryAfter.String() != want || got != "accepted" {
			t.Errorf("%s, %v %+v; want %s", got, err, e, want)
		}
	}
}

// TestPauses checks when a member that fails is asked in its place, what is logged, and what is told of it.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, fine := &lines{}, false
		a := completing(func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
			if fine {
				return says("A").Upstream.Complete(ctx, req, w)
			}
			return failure(502, "upstream_unreachable")
		})
		p := newPool(t, slog.New(log), a, says("B"))
		want := func(lines ...string) {
			t.Helper()
			if _, err := ask(t.Context(), p, "m"); err != nil {
				t.Fatal(err)
			}
			for i := range lines {
				lines[i] += " request_id=r"
			}
			if got := log.take(); got != strings.Join(lines, "\n") {
				t.Errorf("after %v:\n%s\nwant\n%s", time.Now(), got, strings.Join(lines, "\n"))
			}
		}
		const (
			first = "DEBUG upstream chosen upstream=a reason=first that serves the model"
			once  = "INFO upstream chosen upstream=b reason=a has failed: " +
				"upstream_unreachable: words of upstream_unreachable"
			twice = "INFO upstream chosen upstream=b reason=a has failed 2 times: " +
				"upstream_unreachable: words of upstream_unreachable"
			thrice = "INFO upstream chosen upstream=b reason=a has failed 3 times: " +
				"upstream_unreachable: words of upstream_unreachable"
		)
		begun := time.Now()
		want(first, once)
		want(once)
		time.Sleep(time.Second - 1)
		want(once)
		time.Sleep(time.Nanosecond)
		want(first, twice)
		time.Sleep(2*time.Second - 1)
		want(twice)
		time.Sleep(time.Nanosecond)
		want(first, thrice)
		if u := p.Upstreams()[0]; u.Healthy || u.Failures != 3 || !u.Since.Equal(begun) || u.Learned[0] != "a fact" {
			t.Errorf("%+v", u)
		}
		fine = true
		time.Sleep(4*time.Second - 1)
		want(thrice)
		time.Sleep(time.Nanosecond)
		want(first)
		want(first)
		if u := p.Upstreams()[0]; !u.Healthy || u.Failures != 0 || u.Reason != "" || !u.Since.Equal(time.Now()) {
			t.Errorf("%+v", u)
		}
	})
}

// TestPauseLimits checks the longest pause, and that of Retry-After.
func TestPauseLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, wait := 0, time.Duration(0)
		p := newPool(t, nil, completing(func(context.Context, *hub.CompletionRequest, hub.CompletionWriter) error {
			asked++
			e := failure(429, "busy")
			e.RetryAfter = wait
			return e
		}), says("B"))
		expect := func(pause time.Duration) {
			t.Helper()
			before := asked
			_, _ = ask(t.Context(), p, "m")
			time.Sleep(pause - 1)
			_, _ = ask(t.Context(), p, "m")
			if time.Sleep(time.Nanosecond); asked != before+1 {
				t.Errorf("asked %d times within %v", asked-before, pause)
			}
		}
		for _, seconds := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
			expect(seconds * time.Second)
		}
		wait = 2 * time.Minute
		expect(wait)
		wait = time.Hour
		expect(5 * time.Minute)
	})
}

// TestOneProbe checks that one request at a time tries a member whose pause is over, and that failures of requests that
// ran together count once.
func TestOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan chan error, 10)
		p := newPool(t, nil, completing(func(context.Context, *hub.CompletionRequest, hub.CompletionWriter) error {
			result := make(chan error)
			asked <- result
			return <-result
		}), says("B"))
		start := func() { go func() { _, _ = ask(t.Context(), p, "m") }(); synctest.Wait() }
		for range 5 {
			start()
		}
		time.Sleep(time.Second) // so that they began before the first failure
		for range 5 {
			(<-asked) <- failure(500, "x")
		}
		synctest.Wait()
		if n := p.Upstreams()[0].Failures; n != 1 {
			t.Errorf("%d failures are counted", n)
		}
		time.Sleep(time.Second)
		start()
		start()
		if len(asked) != 1 {
			t.Errorf("%d requests try it", len(asked))
		}
		(<-asked) <- failure(500, "x")
		synctest.Wait()
		time.Sleep(2 * time.Second)
		start()
		if len(asked) != 1 {
			t.Error("after the probe has failed, and the pause, none tries it")
		}
		(<-asked) <- nil
		synctest.Wait()
		start()
		start()
		if len(asked) != 2 {
			t.Errorf("healthy again, and %d requests ask it", len(asked))
		}
		(<-asked) <- nil
		(<-asked) <- nil
	})
}

// TestPanicFreesProbe checks that a provider's panic does not leave a member untried forever.
func TestPanicFreesProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		how := func() error { return failure(500, "x") }
		asked := 0
		p := newPool(t, nil, completing(func(context.Context, *hub.CompletionRequest, hub.CompletionWriter) error {
			asked++
			return how()
		}), says("B"))
		_, _ = ask(t.Context(), p, "m")
		time.Sleep(time.Minute)
		how = func() error { panic("no") }
		func() {
			defer func() { _ = recover() }()
			_, _ = ask(t.Context(), p, "m")
		}()
		how = func() error { return nil }
		if _, err := ask(t.Context(), p, "m"); err != nil || asked != 3 {
			t.Errorf("%v; asked %d times", err, asked)
		}
	})
}

func TestModels(t *testing.T) {
	lists := func(err error, ids ...string) pool.Member {
		return pool.Member{Upstream: &fake{models: func() ([]hub.Model, error) {
			var list []hub.Model
			for _, id := range ids {
				list = append(list, hub.Model{ID: id, OwnedBy: ids[0]})
			}
			return list, err
		}}}
	}
	b := lists(nil, "b", "x", "y")
	b.Models = []string{"b", "y"}
	down := failure(502, "upstream_unreachable")
	got, err := newPool(t, nil, lists(nil, "a", "x"), lists(down), b, lists(nil, "c", "a", "z")).Models(t.Context())
	var names []string
	for _, m := range got {
		names = append(names, m.ID+" of "+m.OwnedBy)
	}
	want := []string{"a of a", "x of a", "b of b", "y of b", "c of c", "z of c"}
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("%q, %v", names, err)
	}
	if got, err := newPool(t, nil, lists(down), lists(io.EOF)).Models(t.Context()); got != nil || err != error(down) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := newPool(t, nil, lists(down), pool.Member{Upstream: &fake{models: func() ([]hub.Model, error) {
		return nil, nil
	}}}).Models(t.Context()); got == nil || len(got) != 0 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newPool(t, nil, lists(nil, "a")).Models(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// bodies counts the bodies of forwarded answers that are not closed yet.
type bodies struct{ open int }

// answers is a member that answers a forwarded request like this. Status 0: it fails to.
func (b *bodies) answers(status int, body string) pool.Member {
	return pool.Member{Upstream: &fake{forward: func() (*hub.ForwardResponse, error) {
		if status == 0 {
			return nil, failure(502, "upstream_unreachable")
		}
		b.open++
		return &hub.ForwardResponse{
			Status: status, Header: http.Header{"Retry-After": {"90"}}, Length: -1,
			Body: &counted{strings.NewReader(body), b},
		}, nil
	}}}
}

type counted struct {
	io.Reader
	in *bodies
}

func (c *counted) Close() error { c.in.open--; return nil }

func TestForward(t *testing.T) {
	for want, statuses := range map[string][]int{
		"200 a": {200, 200}, "404 a": {404, 200}, "200 b": {503, 200}, "200 c": {0, 429, 200}, "429 b": {0, 429, 500},
		"503 a": {503}, "500 a": {500, 503}, "502 upstream_unreachable": {0, 0},
	} {
		var members []pool.Member
		b := &bodies{}
		for i, status := range statuses {
			members = append(members, b.answers(status, string(rune('a'+i))))
		}
		resp, err := newPool(t, nil, members...).Forward(t.Context(), &hub.ForwardRequest{})
		got := "502 " + codeOf(err)
		if err == nil {
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			got = fmt.Sprintf("%d %s", resp.Status, body)
		}
		if got != want || b.open > 0 {
			t.Errorf("%v: %s, want %s; %d bodies are open", statuses, got, want, b.open)
		}
	}
	b := &bodies{}
	p := newPool(t, nil, b.answers(429, "a"), b.answers(200, "b"))
	_, _ = p.Forward(t.Context(), &hub.ForwardRequest{})
	if u := p.Upstreams()[0]; u.Healthy || u.Reason != "it answered 429 Too Many Requests" {
		t.Errorf("%+v", u)
	}
}

// reporter is an AnalysisWriter that records its calls.
type reporter struct {
	hub.AnalysisWriter
	recorder
}

func (r *reporter) Accepted()                 { r.add("accepted") }
func (r *reporter) Progress(index int) error  { r.add("progress %d", index); return nil }
func (r *reporter) Issues(...hub.Issue) error { r.add("issues"); return nil }
func (r *reporter) FileDone(index int) error  { r.add("done %d", index); return nil }

func TestAnalyze(t *testing.T) {
	analyses := func(report bool, err error) pool.Member {
		return pool.Member{Upstream: &fake{analyze: func(w hub.AnalysisWriter) error {
			_ = w.Progress(0)
			if report {
				_ = w.Issues()
				_ = w.FileDone(0)
			}
			return err
		}}}
	}
	down := failure(503, "x")
	for want, members := range map[string][]pool.Member{
		"progress 0, issues, done 0 ":  {analyses(false, down), analyses(true, nil)},
		"progress 0, issues, done 0 x": {analyses(true, down), analyses(true, nil)},
		"progress 0 x":                 {analyses(false, down), analyses(false, down)},
		"progress 0 bad":               {analyses(false, failure(400, "bad")), analyses(true, nil)},
	} {
		rep := &reporter{}
		err := newPool(t, nil, members...).Analyze(t.Context(), &hub.AnalysisRequest{}, rep)
		if got := strings.Join(rep.log, ", ") + " " + codeOf(err); got != want {
			t.Errorf("%s; want %s", got, want)
		}
	}
}

func TestClose(t *testing.T) {
	p := newPool(t, nil, pool.Member{Upstream: &fake{closed: io.EOF}},
		pool.Member{Upstream: &fake{closed: io.ErrNoProgress}})
	if err := p.Close(); !errors.Is(err, io.EOF) || !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("%v", err)
	}
}
