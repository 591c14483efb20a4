package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// scripted is a provider that calls a function of the test.
type scripted func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error

func (f scripted) Complete(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
	return f(ctx, req, w)
}

func (f scripted) Models(context.Context) ([]hub.Model, error) {
	return []hub.Model{{ID: "m", Created: 7, OwnedBy: "tests"}}, nil
}

const chatPath = "/v1/chat/completions"

func chatBody(more string) string {
	return `{"model":"m","messages":[{"role":"user","content":"hi"}]` + more + `}`
}

// hello writes "Hel" and "lo" and ends successfully.
func hello(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
	w.Describe(hub.CompletionInfo{ID: "up-1", Created: 5, Model: "m-2"})
	for _, text := range []string{"Hel", "lo"} {
		if err := w.Text(text); err != nil {
			return err
		}
	}
	w.Finish(hub.Finish{Reason: "stop", Usage: json.RawMessage(`{"total_tokens":2}`)})
	return nil
}

// untilStopped returns a provider that writes one token and waits until it is stopped, which it reports on the channel.
func untilStopped(stopped chan<- struct{}) scripted {
	return func(ctx context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		if err := w.Text("tok"); err != nil {
			return err
		}
		<-ctx.Done()
		close(stopped)
		return ctx.Err()
	}
}

func waitFor(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(hubtest.Hung):
		t.Fatalf("it hangs: %s did not happen", what)
	}
}

func TestChatStreamIsOpenAIs(t *testing.T) {
	s := startServer(t, scripted(hello), hub.Limits{}, nil)
	sub := s.stream("POST", chatPath, chatBody(`,"stream":true,"stream_options":{"include_usage":true}`),
		"Accept: text/event-stream; positions=1")
	if loc := sub.resp.Header.Get("Location"); loc != "/v1/streams/"+sub.resp.Header.Get("Duckwire-Stream") ||
		!strings.HasPrefix(loc, "/v1/streams/cmp_") {
		t.Errorf("Location %q", loc)
	}
	const head = `{"id":"up-1","object":"chat.completion.chunk","created":5,"model":"m-2","choices":[`
	var text strings.Builder
	var got []string
	var ids []string
	for {
		b, ok := sub.next()
		if !ok {
			break
		}
		if b.event != "" || b.retry != "" || b.id == "" {
			t.Errorf("%+v", b)
		}
		ids = append(ids, b.id)
		got = append(got, b.data)
		if b.data == "[DONE]" {
			continue
		}
		if !strings.HasPrefix(b.data, head) && !strings.Contains(b.data, `"choices":[]`) {
			t.Errorf("chunk %s", b.data)
		}
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
			Usage   json.RawMessage
		}
		if err := json.Unmarshal([]byte(b.data), &chunk); err != nil {
			t.Fatal(err)
		}
		for _, c := range chunk.Choices {
			text.WriteString(c.Delta.Content)
		}
	}
	if text.String() != "Hello" {
		t.Errorf("the text is %q", text.String())
	}
	n := len(got)
	if n < 5 || got[n-1] != "[DONE]" || !strings.Contains(got[n-2], `"usage":{"total_tokens":2}`) ||
		!strings.Contains(got[n-3], `"finish_reason":"stop"`) || !strings.Contains(got[0], `"role":"assistant"`) {
		t.Errorf("blocks %q", got)
	}
	if ids[n-1] == ids[n-2] || ids[n-2] != ids[n-3] {
		t.Errorf("ids %q", ids)
	}
	// With GET, the same chunks can be read again from any of their positions.
	path := sub.resp.Header.Get("Location") + "?format=openai"
	again := s.stream("GET", path, "", "Last-Event-ID: "+ids[0])
	if b, _ := again.next(); !strings.Contains(b.data, `"content":"Hello"`) {
		t.Errorf("resumed with %+v", b)
	}
	resp := s.do("GET", path, "", "Last-Event-ID: "+ids[n-1])
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("at the end: %s", resp.Status)
	}
}

func TestDoorsErrorsBeforeTheStream(t *testing.T) {
	refused := scripted(func(context.Context, *hub.CompletionRequest, hub.CompletionWriter) error {
		return &hub.ProviderError{
			Status: 429, Code: "busy", Message: "slow down", RetryAfter: 7 * time.Second,
			Body: json.RawMessage(`{"message":"slow down","type":"tokens","param":null,"code":"busy","extra":1}`),
		}
	})
	for _, stream := range []string{`,"stream":true`, ""} {
		s := startServer(t, refused, hub.Limits{}, nil)
		resp := s.do("POST", chatPath, chatBody(stream))
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" ||
			string(body) != `{"error":{"message":"slow down","type":"tokens","param":null,"code":"busy","extra":1}}` {
			t.Errorf("stream %q: %s, %s", stream, resp.Status, body)
		}
	}
}

func TestFailureInsideTheStreamIsNoEnd(t *testing.T) {
	s := startServer(t, scripted(func(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		_ = w.Text("half")
		return errors.New("boom")
	}), hub.Limits{}, nil)
	resp := s.do("POST", "/v1/completions", `{"prompt":"x","stream":true}`)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil || strings.Contains(string(body), "[DONE]") ||
		!strings.Contains(string(body), `data: {"error":{"message":"boom"`) {
		t.Errorf("%v, %s", err, body)
	}
	id := resp.Header.Get("Duckwire-Stream")
	if st := call[streamJSON](s, 200, "GET", "/v1/streams/"+id, ""); st.Status != "failed" || st.Text != "half" ||
		st.Error == nil || st.Error.Code != "provider_error" {
		t.Errorf("%+v", st)
	}
	plain := s.do("GET", "/v1/streams/"+id, "", "Accept: text/plain")
	defer plain.Body.Close()
	if text, err := io.ReadAll(plain.Body); err == nil || string(text) != "half" {
		t.Errorf("plain text of a failed stream: %v, %q", err, text)
	}
}

func TestWholeCompletionFoldsWhatItDoesNotKnow(t *testing.T) {
	s := startServer(t, scripted(func(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		w.Describe(hub.CompletionInfo{ID: "x", Created: 1, Model: "m"})
		_ = w.Text("Let me ")
		for _, c := range []struct{ raw, text string }{
			{`{"id":"x","choices":[{"index":0,"delta":{"reasoning_content":"think"}}]}`, ""},
			{`{"id":"x","choices":[{"index":0,"delta":{"reasoning_content":"ing","content":"look"}}]}`, "look"},
			{`{"id":"x","choices":[{"index":0,"delta":{"tool_calls":[` +
				`{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\""}}]}}]}`, ""},
			{`{"id":"x","choices":[{"index":0,"delta":{"tool_calls":[` +
				`{"index":0,"function":{"arguments":":1}"}}]}}],"vendor":{"big":12345678901234567890}}`, ""},
			{`{"id":"x","choices":[{"index":1,"delta":{"content":"second"},"finish_reason":"length"}]}`, ""},
		} {
			if err := w.Chunk(json.RawMessage(c.raw), c.text); err != nil {
				return err
			}
		}
		_ = w.Text("!")
		w.Finish(hub.Finish{Reason: "tool_calls", Usage: json.RawMessage(`{"total_tokens":9}`)})
		return nil
	}), hub.Limits{}, nil)
	resp := s.do("POST", chatPath, chatBody(""))
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	var got struct {
		Object  string
		Choices []struct {
			Index   int
			Message struct {
				Role, Content    string
				ReasoningContent string `json:"reasoning_content"`
				ToolCalls        []struct {
					ID, Type string
					Index    *int
					Function struct{ Name, Arguments string }
				} `json:"tool_calls"`
			}
			FinishReason string `json:"finish_reason"`
		}
		Usage  struct{ TotalTokens int } `json:"-"`
		Vendor struct{ Big json.Number }
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	m := got.Choices[0].Message
	if got.Object != "chat.completion" || m.Role != "assistant" || m.Content != "Let me look!" ||
		m.ReasoningContent != "thinking" || got.Choices[0].FinishReason != "tool_calls" {
		t.Errorf("%s", raw)
	}
	if len(m.ToolCalls) != 1 || m.ToolCalls[0].Function.Arguments != `{"a":1}` || m.ToolCalls[0].ID != "c1" ||
		m.ToolCalls[0].Index != nil {
		t.Errorf("tool calls %+v", m.ToolCalls)
	}
	if len(got.Choices) != 2 || got.Choices[1].Message.Content != "second" || got.Choices[1].FinishReason != "length" ||
		got.Vendor.Big != "12345678901234567890" || !strings.Contains(string(raw), `"usage":{"total_tokens":9}`) {
		t.Errorf("%s", raw)
	}
}

func TestRespondAsyncAndIdempotency(t *testing.T) {
	calls := make(chan struct{}, 9)
	s := startServer(t, scripted(func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
		calls <- struct{}{}
		return hello(ctx, req, w)
	}), hub.Limits{}, nil)
	body := chatBody(`,"stream":true,"duckwire":{"id":"mine"}`)
	resp := s.do("POST", chatPath, body, "Prefer: respond-async")
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted || resp.Header.Get("Location") == "" {
		t.Fatalf("%s, %v", resp.Status, resp.Header)
	}
	for range 2 {
		again := s.do("POST", chatPath, body)
		raw, _ := io.ReadAll(again.Body)
		again.Body.Close()
		if again.Header.Get("Location") != resp.Header.Get("Location") || !strings.Contains(string(raw), "[DONE]") {
			t.Errorf("%s: %s", again.Header.Get("Location"), raw)
		}
	}
	whole := s.do("POST", chatPath, chatBody(`,"duckwire":{"id":"mine"}`)) // how it is to look may differ
	whole.Body.Close()
	if whole.StatusCode != http.StatusOK || whole.Header.Get("Location") != resp.Header.Get("Location") {
		t.Errorf("without stream: %s", whole.Status)
	}
	if st := call[streamJSON](s, 200, "GET", "/v1/streams/mine", ""); st.Text != "Hello" {
		t.Errorf("by the owner's id: %+v", st)
	}
	other := s.do("POST", chatPath, chatBody(`,"max_tokens":3,"duckwire":{"id":"mine"}`))
	other.Body.Close()
	if other.StatusCode != http.StatusConflict {
		t.Errorf("another request under the same id: %s", other.Status)
	}
	if n := len(calls); n != 1 {
		t.Errorf("the provider was called %d times", n)
	}
}

func TestLeavingCancelsByKeep(t *testing.T) {
	stopped := make(chan struct{})
	s := startServer(t, untilStopped(stopped), hub.Limits{}, nil)
	sub := s.stream("POST", chatPath, chatBody(`,"stream":true,"duckwire":{"keep":{"cancel_after":0.05}}`))
	sub.next()
	sub.resp.Body.Close()
	waitFor(t, stopped, "the provider's stop")
	st := call[streamJSON](s, 200, "GET", sub.resp.Header.Get("Location"), "")
	if st.Status != "cancelled" || st.Account.EndedBy == nil || *st.Account.EndedBy != "unwatched" {
		t.Errorf("%+v", st)
	}
}

func TestDeleteStopsTheProviderAndTellsEveryWatcher(t *testing.T) {
	stopped := make(chan struct{})
	s := startServer(t, untilStopped(stopped), hub.Limits{}, nil)
	door := s.stream("POST", chatPath, chatBody(`,"stream":true`))
	door.next()
	path := door.resp.Header.Get("Location")
	native := s.stream("GET", path, "")
	native.want("hello")
	native.want("chunk")
	for range 2 { // idempotent
		if st := call[streamJSON](s, 200, "DELETE", path, ""); st.Status != "cancelled" || st.Error.Code != "cancelled" ||
			*st.Account.EndedBy != "u" {
			t.Errorf("%+v", st)
		}
	}
	waitFor(t, stopped, "the provider's stop")
	end := native.want("end")
	if e := parse[struct {
		Status string
		Error  struct{ Code string }
	}](t, end); e.Status != "cancelled" || e.Error.Code != "cancelled" || end.id == "" {
		t.Errorf("%+v", end)
	}
	if _, ok := native.next(); ok {
		t.Error("the response goes on after end")
	}
	var last block
	for b, ok := door.next(); ok; b, ok = door.next() {
		last = b
	}
	if !strings.HasPrefix(last.data, `{"error":`) {
		t.Errorf("the door ended with %+v", last)
	}
	stranger := s.do("DELETE", path, "", "Authorization: Bearer "+token(t, "v", "code:*=*"))
	stranger.Body.Close()
	if stranger.StatusCode != http.StatusNotFound {
		t.Errorf("a stranger may cancel: %s", stranger.Status)
	}
}

func TestNewerInTheSlotSupersedes(t *testing.T) {
	s := startServer(t, scripted(func(ctx context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		_ = w.Text("tok")
		<-ctx.Done()
		return ctx.Err()
	}), hub.Limits{}, nil)
	body := chatBody(`,"stream":true,"duckwire":{"slot":"cursor"}`)
	first := s.stream("POST", chatPath, body)
	first.next()
	watcher := s.stream("GET", first.resp.Header.Get("Location"), "")
	watcher.want("hello")
	watcher.want("chunk")
	s.stream("POST", chatPath, body).next()
	if e := parse[struct{ Status string }](t, watcher.want("end")); e.Status != "superseded" {
		t.Errorf("%+v", e)
	}
}

func TestSlowProviderGetsItsTwoHundredAndHeartbeats(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		release := make(chan struct{})
		s := startServer(t, scripted(func(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
			<-release
			_ = w.Text("late")
			w.Finish(hub.Finish{Reason: "stop"})
			return nil
		}), hub.Limits{}, func(o *handlers.Options) { o.CommitAfter = time.Millisecond; o.Heartbeat = time.Second })
		sub := s.stream("POST", chatPath, chatBody(`,"stream":true`))
		time.AfterFunc(1500*time.Millisecond, func() { close(release) })
		b, _ := sub.next()
		if len(sub.comments) != 1 || strings.HasPrefix(sub.comments[0], ": ping") ||
			!strings.Contains(b.data, `"role":"assistant"`) {
			t.Errorf("%q, %+v", sub.comments, b)
		}
	})
}

func TestModels(t *testing.T) {
	s := startServer(t, scripted(hello), hub.Limits{}, nil)
	got := call[struct {
		Object string
		Data   []struct {
			ID, Object string
			Created    int64
			OwnedBy    string `json:"owned_by"`
		}
	}](s, 200, "GET", "/v1/models", "")
	if got.Object != "list" || len(got.Data) != 1 || got.Data[0].ID != "m" || got.Data[0].Object != "model" ||
		got.Data[0].OwnedBy != "tests" {
		t.Errorf("%+v", got)
	}
}

func TestAnnouncedCompletion(t *testing.T) {
	s := startServer(t, scripted(hello), hub.Limits{}, nil)
	sub := s.stream("GET", eventsPath, "")
	sub.want("hello")
	resp := s.do("POST", chatPath, chatBody(`,"duckwire":{"topic":"code:project:42"}`))
	resp.Body.Close()
	id := resp.Header.Get("Duckwire-Stream")
	var text strings.Builder
	for _, b := range []block{sub.want("completion_started"), sub.want("completion_chunk")} {
		e := parse[envelope](t, b)
		var p struct {
			Stream       string
			CompletionID string `json:"completion_id"`
			Chunk        string
		}
		if err := json.Unmarshal(e.Payload, &p); err != nil || p.Stream != id || p.CompletionID != id || e.Sender != "u" {
			t.Errorf("%s (%v)", b.data, err)
		}
		text.WriteString(p.Chunk)
	}
	for text.Len() < len("Hello") {
		var p struct{ Chunk string }
		_ = json.Unmarshal(parse[envelope](t, sub.want("completion_chunk")).Payload, &p)
		text.WriteString(p.Chunk)
	}
	if done := sub.want("completion_done"); !strings.Contains(done.data, `"result":{"status":"done"`) {
		t.Errorf("%s", done.data)
	}
	// Whoever may subscribe to the topic may read the stream; for others it does not exist.
	call[streamJSON](
		s, 200, "GET", "/v1/streams/"+id, "", "Authorization: Bearer "+token(t, "v", "code:project:42=subscribe"),
	)
	call[problem](
		s, 404, "GET", "/v1/streams/"+id, "", "Authorization: Bearer "+token(t, "v", "code:project:43=subscribe"),
	)
}

// TestRefusedCompletionByItsStream: a refused completion has the same error on every path.
func TestRefusedCompletionByItsStream(t *testing.T) {
	s := startServer(t, scripted(func(context.Context, *hub.CompletionRequest, hub.CompletionWriter) error {
		return &hub.ProviderError{
			Status: 404, Code: "model_not_found", Type: "invalid_request_error", Message: "no such model",
		}
	}), hub.Limits{}, nil)
	resp := s.do("POST", chatPath, chatBody(""), "Prefer: respond-async")
	resp.Body.Close()
	again := s.do("GET", resp.Header.Get("Location")+"?format=openai", "")
	defer again.Body.Close()
	const want = `{"error":{"message":"no such model","type":"invalid_request_error",` +
		`"param":null,"code":"model_not_found"}}`
	if raw, _ := io.ReadAll(again.Body); again.StatusCode != http.StatusNotFound || string(raw) != want {
		t.Errorf("%s: %s", again.Status, raw)
	}
}
