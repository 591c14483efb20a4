package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// endless counts the completions that it begins and that run.
type endless struct{ begun, running atomic.Int32 }

func (e *endless) Complete(ctx context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
	e.begun.Add(1)
	e.running.Add(1)
	defer e.running.Add(-1)
	if err := w.Text("tok"); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (e *endless) Models(context.Context) ([]hub.Model, error) { return nil, nil }

const streamedPrompt = `{"model":"m","prompt":"x","stream":true}`

// TestPositionsOnRequest: blocks have ids only for clients that show that they resume.
func TestPositionsOnRequest(t *testing.T) {
	s := startServer(t, scripted(hello), hub.Limits{}, nil)
	for _, c := range []struct {
		body    string
		headers []string
		want    bool
	}{
		{chatBody(`,"stream":true`), nil, false},
		{chatBody(`,"stream":true`), []string{"Accept: text/event-stream"}, false},
		{chatBody(`,"stream":true`), []string{"Accept: application/json, text/event-stream; positions=1"}, true},
		{chatBody(`,"stream":true,"duckwire":{}`), nil, true},
		{chatBody(`,"stream":true`), []string{"Last-Event-ID: 0"}, true},
	} {
		resp := s.do("POST", chatPath, c.body, c.headers...)
		raw, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := strings.Contains(string(raw), "\nid: "); got != c.want || !strings.Contains(string(raw), "[DONE]") {
			t.Errorf("%s %q: ids %t\n%s", c.body, c.headers, got, raw)
		}
	}
}

// TestNothingBegins: whatever is wrong with a request, no completion is begun for it.
func TestNothingBegins(t *testing.T) {
	var e endless
	s := startServer(t, &e, hub.Limits{}, func(o *handlers.Options) { o.ConnectionsPerUser = 1 })
	for _, path := range []string{chatPath, "/v1/completions", "/v1/fim/completions"} {
		body := `{"prompt":"x","messages":[{"role":"user","content":"x"}],"stream":true}`
		for _, c := range []struct {
			status int
			query  string
			header string
		}{
			{400, "?max=x", ""},
			{400, "?hb=0", ""},
			{400, "?pad=-1", ""},
			{400, "?after=17", ""},
			{400, "", "Last-Event-ID: 17"},
			{400, "", "Last-Event-ID: AAAAAAAA.3"},
			{400, "", "Duckwire-Keep: soon"},
			{400, "", "Idempotency-Key: " + strings.Repeat("x", 300)},
			{403, "", "Authorization: Bearer " + token(t, "ada", "*=subscribe")},
		} {
			resp := s.do("POST", path+c.query, body, c.header)
			raw, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != c.status {
				t.Errorf("%s%s %s: %s %s", path, c.query, c.header, resp.Status, raw)
			}
		}
	}
	busy := s.stream("POST", chatPath, chatBody(`,"stream":true`))
	busy.next()
	resp := s.do("POST", chatPath, chatBody(`,"stream":true`))
	resp.Body.Close()
	if resp.StatusCode != http.StatusTooManyRequests || e.begun.Load() != 1 {
		t.Errorf("at the limit of connections: %s, %d begun", resp.Status, e.begun.Load())
	}
}

// TestRepeatedPostResumes: a client that posts the same request again after a cut, as fetch-event-source does, goes on
// in its stream.
func TestRepeatedPostResumes(t *testing.T) {
	var begun atomic.Int32
	proceed := make(chan struct{})
	s := startServer(t, scripted(func(ctx context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		begun.Add(1)
		_ = w.Text("Hel")
		select {
		case <-proceed:
		case <-ctx.Done():
		}
		_ = w.Text("lo")
		w.Finish(hub.Finish{Reason: "stop"})
		return nil
	}), hub.Limits{}, nil)
	const accept = "Accept: text/event-stream; positions=1"
	body := chatBody(`,"stream":true`)
	first := s.stream("POST", chatPath, body, accept)
	first.next()
	half, _ := first.next()
	if !strings.Contains(half.data, "Hel") || half.id == "" {
		t.Fatalf("%+v", half)
	}
	first.resp.Body.Close()
	at := "Last-Event-ID: " + half.id
	for what, c := range map[string]struct{ body, credential string }{
		"another request": {chatBody(`,"stream":true,"max_tokens":1`), ""},
		"another user":    {body, "Authorization: Bearer " + token(t, "eve", "*=*")},
	} {
		resp := s.do("POST", chatPath, c.body, at, c.credential)
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", what, resp.Status)
		}
	}
	again := s.stream("POST", chatPath, body, at)
	close(proceed)
	next, _ := again.next()
	if !strings.Contains(next.data, `"content":"lo"`) || begun.Load() != 1 ||
		again.resp.Header.Get("Location") != first.resp.Header.Get("Location") {
		t.Errorf("%+v, %d begun", next, begun.Load())
	}
	last := next
	for b, ok := next, true; ok; b, ok = again.next() {
		last = b
	}
	resp := s.do("POST", chatPath, body, "Last-Event-ID: "+last.id)
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent || begun.Load() != 1 {
		t.Errorf("at the end: %s, %d begun", resp.Status, begun.Load())
	}
}

// TestKeepOfTheDoors: who leaves a text completion frees the upstream at once; a chat goes on for a while, and what the
// request says comes first.
func TestKeepOfTheDoors(t *testing.T) {
	for _, c := range []struct {
		path, body, header string
		ends               bool
	}{
		{"/v1/completions", streamedPrompt, "", true},
		{"/v1/fim/completions", streamedPrompt, "", true},
		{"/v1/completions", streamedPrompt, "Idempotency-Key: k", false},
		{"/v1/completions", `{"prompt":"x","stream":true,"duckwire":{"id":"i"}}`, "", false},
		{"/v1/completions", streamedPrompt, "Duckwire-Keep: finish", false},
		{"/v1/completions", streamedPrompt, "Accept: text/event-stream; positions=1", false},
		{chatPath, chatBody(`,"stream":true`), "", false},
		{chatPath, chatBody(`,"stream":true`), "Duckwire-Keep: 0", true},
		{chatPath, chatBody(`,"stream":true,"duckwire":{"keep":"finish"}`), "Duckwire-Keep: 0", false},
	} {
		var e endless
		s := startServer(t, &e, hub.Limits{}, func(o *handlers.Options) { o.KeepChat = time.Hour })
		sub := s.stream("POST", c.path, c.body, c.header)
		sub.next()
		sub.resp.Body.Close()
		path := sub.resp.Header.Get("Location")
		if c.ends {
			hubtest.Until(t, "the provider's end", func() bool { return e.running.Load() == 0 })
			continue
		}
		hubtest.Until(t, "nobody watches", func() bool {
			return call[streamJSON](s, 200, "GET", path, "").Watchers == 0
		})
		if st := call[streamJSON](s, 200, "GET", path, ""); st.Status != "running" {
			t.Errorf("%s %s %s: %+v", c.path, c.body, c.header, st)
		}
	}
}

// TestAbandonedStreamsMakeRoom: streams that their readers have left do not keep their user from the next one.
func TestAbandonedStreamsMakeRoom(t *testing.T) {
	var e endless
	s := startServer(t, &e, hub.Limits{StreamsPerUser: 3}, func(o *handlers.Options) { o.KeepChat = 45 * time.Second })
	left := func(body string) string {
		t.Helper()
		sub := s.stream("POST", chatPath, body)
		if sub.resp.StatusCode != http.StatusOK {
			t.Fatalf("%s", sub.resp.Status)
		}
		sub.next()
		sub.resp.Body.Close()
		path := sub.resp.Header.Get("Location")
		hubtest.Until(t, "nobody watches", func() bool { return call[streamJSON](s, 200, "GET", path, "").Watchers == 0 })
		return path
	}
	kept := left(chatBody(`,"stream":true,"duckwire":{"id":"mine"}`))
	for range 6 {
		left(chatBody(`,"stream":true`))
	}
	if n := e.running.Load(); n > 3 {
		t.Errorf("%d run", n)
	}
	if st := call[streamJSON](s, 200, "GET", kept, ""); st.Status != "running" {
		t.Errorf("one with an id of its owner's: %+v", st)
	}
	for range 2 {
		s.stream("POST", chatPath, chatBody(`,"stream":true`)).next() // these are read
	}
	resp := s.do("POST", chatPath, chatBody(`,"stream":true`))
	resp.Body.Close()
	if resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("more than the limit are read: %s", resp.Status)
	}
}

// TestFailureIsNotReplayed: an idempotency key whose request made nothing leads to another attempt; one that made
// something does not.
func TestFailureIsNotReplayed(t *testing.T) {
	var mu sync.Mutex
	begun, script := 0, []string{"busy", "busy", "made", "never"}
	s := startServer(t, scripted(func(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		mu.Lock()
		how := script[begun]
		begun++
		mu.Unlock()
		if how == "busy" {
			return &hub.ProviderError{Status: 429, Code: "busy", Message: "slow down", RetryAfter: 45 * time.Second}
		}
		return hello(t.Context(), nil, w)
	}), hub.Limits{}, nil)
	for i, c := range []struct {
		key    string
		status int
	}{{"k", 429}, {`"k"`, 429}, {"k", 200}, {`"k"`, 200}, {"k", 200}} {
		resp := s.do("POST", chatPath, chatBody(""), "Idempotency-Key: "+c.key)
		raw, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || c.status == 429 && resp.Header.Get("Retry-After") != "45" {
			t.Errorf("try %d: %s %q %s", i, resp.Status, resp.Header.Get("Retry-After"), raw)
		}
	}
	if begun != 3 {
		t.Errorf("the provider was called %d times; want 3", begun)
	}
}

func TestIdempotencyKeys(t *testing.T) {
	s := startServer(t, scripted(hello), hub.Limits{}, nil)
	for key, status := range map[string]int{
		"plain": 200, `"quoted"`: 200, "base64/with+others==": 200, `""`: 400, strings.Repeat("x", 255): 200,
	} {
		var places [2]string
		for i := range places {
			resp := s.do("POST", chatPath, chatBody(""), "Idempotency-Key: "+key)
			resp.Body.Close()
			places[i] = resp.Header.Get("Location")
			if resp.StatusCode != status {
				t.Errorf("%s: %s", key, resp.Status)
			}
		}
		if places[0] != places[1] {
			t.Errorf("%s: %s and %s", key, places[0], places[1])
		}
	}
}

// TestTypingFreesTheUpstream: an editor that leaves a completion at each key never keeps more than one running for long.
func TestTypingFreesTheUpstream(t *testing.T) {
	var e endless
	s := startServer(t, &e, hub.Limits{}, nil)
	for i := range 20 {
		sub := s.stream("POST", "/v1/fim/completions", fmt.Sprintf(`{"prompt":"x%d","suffix":"y","stream":true}`, i))
		sub.next()
		sub.resp.Body.Close()
		hubtest.Until(t, "the upstream is free", func() bool { return e.running.Load() == 0 })
	}
}

// TestWholeAnswerForWatchers: an answer that the upstream did not stream becomes a stream for those who watch it.
func TestWholeAnswerForWatchers(t *testing.T) {
	const whole = `{"id":"up","object":"chat.completion","created":5,"model":"m-2","choices":[{"index":0,"message":` +
		`{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"n":1},"x":1.50}`
	s := startServer(t, scripted(func(_ context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
		w.Describe(hub.CompletionInfo{ID: "up", Created: 5, Model: "m-2"})
		if err := w.Whole(json.RawMessage(whole), "Hi"); err != nil {
			return err
		}
		w.Finish(hub.Finish{Reason: "stop", ReasonSent: true, Usage: json.RawMessage(`{"n":1}`)})
		return nil
	}), hub.Limits{}, nil)
	resp := s.do("POST", chatPath, chatBody(""))
	raw, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(raw) != whole {
		t.Errorf("the answer is %s", raw)
	}
	path := resp.Header.Get("Location")
	if st := call[streamJSON](s, 200, "GET", path, ""); st.Text != "Hi" || st.Status != "done" {
		t.Errorf("%+v", st)
	}
	sub := s.stream("GET", path, "")
	sub.want("hello")
	if b := sub.want("chunk"); b.data != `{"text":"Hi","at":0,"answer":`+whole+`}` {
		t.Errorf("a watcher sees %s", b.data)
	}
	streamed := s.do("POST", chatPath, chatBody(`,"stream":true,"stream_options":{"include_usage":true}`))
	body, _ := io.ReadAll(streamed.Body)
	streamed.Body.Close()
	for _, part := range []string{
		`"delta":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]`, `"role"`, `"choices":[],"usage":{"n":1}`,
		"[DONE]",
	} {
		if strings.Count(string(body), part) != 1 {
			t.Errorf("as a stream, without one %s: %s", part, body)
		}
	}
}

// TestWholeAnswerTooLarge: a whole answer that a stream cannot hold is an error, not an empty answer.
func TestWholeAnswerTooLarge(t *testing.T) {
	s := startServer(t, scripted(func(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		return w.Whole(json.RawMessage(`{"choices":[{"message":{"content":"`+strings.Repeat("x", 200_000)+`"}}]}`), "x")
	}), hub.Limits{StreamBytes: 100_000}, nil)
	resp := s.do("POST", chatPath, chatBody(""))
	raw, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadGateway || !strings.Contains(string(raw), "stream_bytes") {
		t.Errorf("%s %.200s", resp.Status, raw)
	}
}

// TestFinishComesAtOnce: clients learn why a choice ended when the upstream says it, not when its answer ends.
func TestFinishComesAtOnce(t *testing.T) {
	proceed := make(chan struct{})
	s := startServer(t, scripted(func(ctx context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		_ = w.Text("a")
		w.Finish(hub.Finish{Reason: "stop"})
		select {
		case <-proceed:
		case <-ctx.Done():
		}
		w.Finish(hub.Finish{Reason: "stop", Usage: json.RawMessage(`{"n":1}`)})
		return nil
	}), hub.Limits{}, nil)
	sub := s.stream("POST", chatPath, chatBody(`,"stream":true,"stream_options":{"include_usage":true}`))
	sub.next()
	sub.next()
	if b, _ := sub.next(); !strings.Contains(b.data, `"finish_reason":"stop"`) {
		t.Errorf("before the end: %+v", b)
	}
	close(proceed)
	if b, _ := sub.next(); !strings.Contains(b.data, `"usage":{"n":1}`) {
		t.Errorf("then %+v", b)
	}
	if b, _ := sub.next(); b.data != "[DONE]" {
		t.Errorf("then %+v", b)
	}
}

// TestOneRole: each choice's role is told once, by the upstream's chunk if that is more than the role of the first choice.
func TestOneRole(t *testing.T) {
	const (
		call   = `{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[]}}]}`
		second = `{"object":"chat.completion.chunk","choices":[{"index":1,"delta":{"role":"assistant","content":"b"}}]}`
	)
	for _, c := range []struct {
		chunks []string
		roles  int
	}{{[]string{call}, 1}, {[]string{second}, 2}, {[]string{call, second}, 2}} {
		s := startServer(t, scripted(func(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
			for _, raw := range c.chunks {
				_ = w.Chunk(json.RawMessage(raw), "")
			}
			w.Finish(hub.Finish{Reason: "stop"})
			return nil
		}), hub.Limits{}, nil)
		resp := s.do("POST", chatPath, chatBody(`,"stream":true`))
		raw, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if strings.Count(string(raw), `"role"`) != c.roles {
			t.Errorf("%s", raw)
		}
	}
}
