package channels_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

const project = "code:project:42"

// says returns a provider that writes these pieces and ends successfully.
func says(pieces ...string) scripted {
	return func(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		w.Describe(hub.CompletionInfo{Model: "m-2"})
		for _, text := range pieces {
			if err := w.Text(text); err != nil {
				return err
			}
		}
		w.Finish(hub.Finish{Reason: "stop", Usage: json.RawMessage(`{"total_tokens":2}`)})
		return nil
	}
}

// untilStopped returns a provider that writes one piece and waits until it is stopped, which it reports.
func untilStopped(stopped chan<- struct{}) scripted {
	return func(ctx context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		if err := w.Text("tok"); err != nil {
			return err
		}
		<-ctx.Done()
		stopped <- struct{}{}
		return ctx.Err()
	}
}

func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(hubtest.Hung):
		t.Fatalf("it hangs: %s did not happen", what)
	}
}

func TestCodeJoin(t *testing.T) {
	s := start(t, nil)
	c := s.dial("u", "code:project:42=subscribe", "code:file:lib*=subscribe", "code:other*=subscribe")
	for _, tt := range []struct{ topic, params, status, response string }{
		{"code:project:42", `{}`, "ok", `{"project_id":"42","status":"joined"}`},
		{"code:file:lib/a.ex", `{"cursor_position":{"line":1,"column":0}}`, "ok", `{"file_id":"lib/a.ex","status":"joined"}`},
		{"code:other", `{}`, "ok", `{"status":"joined"}`},
		{"code:project:43", `{}`, "error", `{"code":"forbidden","reason":"Unauthorized access to project"}`},
		{"code:file:etc", `{}`, "error", `{"code":"forbidden","reason":"Unauthorized access to file"}`},
		{"code:project:42", `[]`, "error", `{"code":"invalid","reason":"Invalid join parameters"}`},
		{"code:project:42", `null`, "error", `{"code":"invalid","reason":"Invalid join parameters"}`},
	} {
		status, response := c.ask(tt.topic, "phx_join", tt.params)
		if got, _ := json.Marshal(response); status != tt.status || string(got) != tt.response {
			t.Errorf("%s %s: %s %s, want %s %s", tt.topic, tt.params, status, got, tt.status, tt.response)
		}
	}
	for params, field := range map[string]string{
		`{"cursor_position":3}`:                        "cursor_position",
		`{"cursor_position":{"line":0,"column":0}}`:    "cursor_position.line",
		`{"cursor_position":{"line":1,"column":"no"}}`: "cursor_position.column",
		`{"cursor_position":{"line":1}}`:               "cursor_position.column",
	} {
		if status, response := c.ask(project, "phx_join", params); status != "error" || response["field"] != field {
			t.Errorf("%s: %s %v, want the field %s", params, status, response, field)
		}
	}
}

func TestChunksAreTheStreamsText(t *testing.T) {
	var asked *hub.CompletionRequest
	s := start(t, scripted(func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
		asked = req
		if err := w.Chunk(json.RawMessage(`{"choices":[{"index":0,"delta":{"reasoning":"hm"}}]}`), ""); err != nil {
			return err
		}
		return says("héllo ", "<wörld>", " 🦆")(ctx, req, w)
	}))
	c := s.dial("u")
	c.join(project, `{}`)
	reply := c.ok(project, "request_completion", `{"code":"a\nb🦆c\nd","cursor_position":{"line":2,"column":3},`+
		`"file_type":"go","options":{"max_length":7,"temperature":0.5}}`)
	id, _ := reply["completion_id"].(string)
	if !strings.HasPrefix(id, "cmp_") || reply["request_id"] != id {
		t.Fatalf("the reply is %v", reply)
	}
	if delta := c.want("completion_delta"); delta["delta"] == nil || delta["position"] == nil ||
		delta["completion_id"] != id {
		t.Errorf("the delta is %v", delta)
	}
	text, end := readCompletion(c, "", "completion_done")
	if text != "héllo <wörld> 🦆" {
		t.Errorf("the text is %q", text)
	}
	if got, _ := json.Marshal(end["result"]); string(got) != `{"finish_reason":"stop","status":"completed"}` ||
		end["completion_id"] != id {
		t.Errorf("the end is %v", end)
	}
	if got, _ := json.Marshal(end["usage"]); string(got) != `{"total_tokens":2}` {
		t.Errorf("the usage is %s", got)
	}
	if asked.Prompt != "a\nb🦆" || asked.Suffix != "c\nd" || asked.MaxTokens != 7 ||
		string(asked.Body["temperature"]) != "0.5" {
		t.Errorf("the provider was asked for %+v", asked)
	}
	stream, err := s.hub.Stream("u", id)
	if err != nil || string(stream.State().Text) != text || stream.Owner != "u" ||
		stream.Idle.CancelAfter != 30*time.Second {
		t.Errorf("the stream is %+v, %v", stream, err)
	}
}

func TestCompletionIsAskedForAtTheCursor(t *testing.T) {
	asked := make(chan [2]string, 1)
	s := start(t, scripted(func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
		asked <- [2]string{req.Prompt, req.Suffix}
		return says()(ctx, req, w)
	}))
	c := s.dial("u")
	c.join(project, `{}`)
	c.ok(project, "request_completion", `{"code":"ab\ncd","cursor_position":{"line":2,"column":1}}`)
	if got := <-asked; got != [2]string{"ab\nc", "d"} {
		t.Errorf("asked for what stands between %q", got)
	}
}

// readCompletion reads chunks, which must continue the text, until the given event.
func readCompletion(c *client, have, done string) (text string, end map[string]any) {
	c.t.Helper()
	for {
		m := c.next()
		p := object(c.t, m.Payload)
		switch m.Event {
		case "phx_reply":
		case "completion_chunk":
			if int(p["at"].(float64)) != len(have) {
				c.t.Fatalf("a chunk at %v, want it at %d", p["at"], len(have))
			}
			have += p["chunk"].(string)
		case done:
			return have, p
		default:
			c.t.Fatalf("got %s %s", m.Event, m.Payload)
		}
	}
}

func TestCutAndResumedOnANewSocket(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 11))
	more := make(chan int) // how many pieces to write now
	var made strings.Builder
	s := start(t, scripted(func(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		for n := range more {
			for range n {
				piece := fmt.Sprintf("%d ü🦆\n", made.Len())
				made.WriteString(piece)
				if err := w.Text(piece); err != nil {
					return err
				}
			}
		}
		w.Finish(hub.Finish{Reason: "stop"})
		return nil
	}))
	got, position := "", "0"
	for cut := range 40 {
		c := s.dial("u")
		c.join(project, `{}`)
		reply := c.ok(
			project, "request_completion",
			fmt.Sprintf(`{"id":"mine","after":%q,"code":"x","cursor_position":{"line":1,"column":1}}`, position),
		)
		if reply["recovered"] != true {
			t.Fatalf("cut %d: %v", cut, reply)
		}
		for range 1 + rnd.IntN(4) {
			more <- 1 + rnd.IntN(9)
			p := c.want("completion_chunk")
			if int(p["at"].(float64)) != len(got) {
				t.Fatalf("cut %d: a chunk at %v, want it at %d", cut, p["at"], len(got))
			}
			got += p["chunk"].(string)
			position = p["position"].(string)
		}
		c.conn.CloseNow()
	}
	close(more)
	c := s.dial("u")
	c.join(project, `{}`)
	c.ok(
		project, "request_completion",
		fmt.Sprintf(`{"id":"mine","after":%q,"code":"x","cursor_position":{"line":1,"column":1}}`, position),
	)
	got, end := readCompletion(c, got, "completion_done")
	whole := made.String()
	if got != whole || len(whole) < 200 {
		t.Errorf("got %d bytes, made %d", len(got), len(whole))
	}
	// After the end only the end is sent again. A position of another log is reported.
	reply := c.ok(
		project, "request_completion", `{"id":"mine","after":"b0-1.5","code":"x","cursor_position":{"line":1,"column":1}}`,
	)
	if reply["recovered"] != false || reply["reset"] != "epoch" {
		t.Errorf("a lost position: %v", reply)
	}
	if again, _ := readCompletion(c, "", "completion_done"); again != whole {
		t.Errorf("from the beginning: %d bytes, want %d", len(again), len(whole))
	}
	mine := `{"id":"mine","code":"y","cursor_position":{"line":1,"column":1}}`
	if status, r := c.ask(project, "request_completion", mine); status != "error" || r["reason"] != "conflict" {
		t.Errorf("another request under the same id: %s %v", status, r)
	}
	if end["position"] == position {
		t.Error("the end has no position of its own")
	}
}

func TestAskedTwiceIsToldOnce(t *testing.T) {
	stopped := make(chan struct{}, 1)
	s := start(t, untilStopped(stopped))
	c := s.dial("u")
	c.join(project, `{}`)
	const ask = `{"id":"mine","code":"x","cursor_position":{"line":1,"column":1}}`
	first := c.ok(project, "request_completion", ask)
	second := c.ok(project, "request_completion", ask)
	if first["completion_id"] != second["completion_id"] {
		t.Errorf("%v, then %v", first, second)
	}
	text := c.want("completion_chunk")["chunk"].(string)
	c.ok(project, "cancel", `{"request_id":"mine"}`)
	wait(t, stopped, "the provider's end")
	if text, _ := readCompletion(c, text, "completion_error"); text != "tok" {
		t.Errorf("the text is %q", text)
	}
	c.ok(project, "say", `{}`)
	c.want("say") // and nothing before it
}

func TestCancelAndStatus(t *testing.T) {
	stopped := make(chan struct{}, 1)
	s := start(t, untilStopped(stopped))
	c, other := s.dial("u"), s.dial("other", "code:*=subscribe,complete")
	c.join(project, `{}`)
	other.join(project, `{}`)
	for _, event := range []string{"cancel", "cancel_completion", "cancel_analysis"} {
		id := c.ok(
			project, "request_completion", `{"code":"x","cursor_position":{"line":1,"column":1}}`,
		)["completion_id"].(string)
		c.want("completion_chunk")
		for _, field := range []string{"request_id", "completion_id", "analysis_id", "id"} {
			st := c.ok(project, "get_status", fmt.Sprintf(`{%q:%q}`, field, id))
			if st["status"] != "running" || st["started_at"] == nil || st["stream"] != id {
				t.Errorf("by %s: %v", field, st)
			}
		}
		if st := other.ok(project, "get_status", fmt.Sprintf(`{"request_id":%q}`, id)); st["status"] != "not_found" {
			t.Errorf("another user sees %v", st)
		}
		if status, response := other.ask(project, "cancel", fmt.Sprintf(`{"request_id":%q}`, id)); status != "error" ||
			response["reason"] != "not_found" {
			t.Errorf("another user cancels: %s %v", status, response)
		}
		if r := c.ok(project, event, fmt.Sprintf(`{"completion_id":%q}`, id)); r["status"] != "cancelled" {
			t.Errorf("%s: %v", event, r)
		}
		wait(t, stopped, "the provider's end")
		end := c.want("completion_error")
		if end["error"] != "cancelled" || end["code"] != "cancelled" || end["completion_id"] != id || end["position"] == nil {
			t.Errorf("the end is %v", end)
		}
		if st := c.ok(project, "get_status", fmt.Sprintf(`{"request_id":%q}`, id)); st["status"] != "cancelled" ||
			st["ended_at"] == nil {
			t.Errorf("after it: %v", st)
		}
		c.ok(project, event, fmt.Sprintf(`{"completion_id":%q}`, id)) // repeating it is harmless
	}
}

func TestNewerInTheSlotSupersedes(t *testing.T) {
	stopped := make(chan struct{}, 2)
	s := start(t, untilStopped(stopped))
	c := s.dial("u")
	c.join(project, `{}`)
	const ask = `{"slot":"editor","code":%q,"cursor_position":{"line":1,"column":1}}`
	first := c.ok(project, "request_completion", fmt.Sprintf(ask, "a"))["completion_id"]
	c.want("completion_chunk")
	second := c.ok(project, "request_completion", fmt.Sprintf(ask, "ab"))["completion_id"]
	wait(t, stopped, "the first provider's end")
	seen := map[string]any{}
	for range 2 {
		m := c.next()
		seen[m.Event] = object(t, m.Payload)
	}
	end, _ := seen["completion_error"].(map[string]any)
	chunk, _ := seen["completion_chunk"].(map[string]any)
	if end["error"] != "superseded" || end["completion_id"] != first || chunk["completion_id"] != second {
		t.Errorf("got %v", seen)
	}
}

func TestLeavingAndFailing(t *testing.T) {
	stopped := make(chan struct{}, 1)
	s := start(t, untilStopped(stopped))
	c := s.dial("u")
	c.join(project, `{}`)
	c.send(project, "complete", `{"prefix":"x"}`)
	c.ok(project, "say", `{}`) // the channel's other messages do not wait
	c.want("say")
	c.conn.CloseNow()
	wait(t, stopped, "the end of a completion whose client has left")

	s = start(t, scripted(func(context.Context, *hub.CompletionRequest, hub.CompletionWriter) error {
		return errors.New("no luck")
	}))
	c = s.dial("u")
	c.join(project, `{}`)
	if status, r := c.ask(project, "complete", `{"prefix":"x"}`); status != "error" || r["error"] != "no luck" ||
		r["reason"] != "provider_error" || r["request_id"] == nil {
		t.Errorf("complete: %s %v", status, r)
	}
	for event, ask := range map[string]string{"generate": `{"prompt":"x"}`, "refactor": `{"code":"x"}`} {
		id := c.ok(project, event, ask)["request_id"]
		name := map[string]string{"generate": "generation_error", "refactor": "refactor_error"}[event]
		if end := c.want(name); end["error"] != "no luck" || end["request_id"] != id {
			t.Errorf("%s: %v", event, end)
		}
	}
	if st, _ := c.ask(project, "request_completion", `{"code":"x","cursor_position":{"line":1,"column":1}}`); st != "ok" {
		t.Error(st)
	}
	if end := c.want("completion_error"); end["error"] != "no luck" || end["code"] != "provider_error" {
		t.Errorf("the end is %v", end)
	}
}

func TestComplete(t *testing.T) {
	s := start(t, scripted(func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
		if req.Prompt == "nothing" {
			return says()(ctx, req, w)
		}
		return says("get_", "all()")(ctx, req, w)
	}))
	c := s.dial("u")
	c.join(project, `{}`)
	r := c.ok(project, "complete", `{"prefix":"Repo.","suffix":"\nend","file_path":"lib/a.ex"}`)
	got, _ := json.Marshal(r["suggestions"])
	want := `[{"description":"by m-2",` +
		`"metadata":{"finish_reason":"stop","language":"elixir","model":"m-2","usage":{"total_tokens":2}},` +
		`"score":1,"text":"get_all()","type":"completion"}]`
	if string(got) != want || r["request_id"] == nil {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, _ := json.Marshal(c.ok(project, "complete", `{"prefix":"nothing"}`)["suggestions"]); string(got) != "[]" {
		t.Errorf("of nothing: %s", got)
	}
}

func TestGenerateAndRefactor(t *testing.T) {
	var asked string
	s := start(t, scripted(func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
		asked = req.Messages[0].Content
		return says("Here:\n```go\na := 1\nb := 3\n", "```\nIt is short.\n")(ctx, req, w)
	}))
	c := s.dial("u")
	c.join(project, `{}`)
	c.ok(
		project, "generate",
		`{"prompt":"sum two","language":"go","style":"terse","imports":["fmt",{"name":"os"}],"partial_code":"a := 1"}`,
	)
	text, end := readCompletion(c, "", "generation_complete")
	if !strings.HasSuffix(text, "It is short.\n") || end["code"] != "a := 1\nb := 3\n" ||
		end["explanation"] != "Here:\nIt is short." || end["language"] != "go" {
		t.Errorf("%q, %v", text, end)
	}
	for _, want := range []string{"sum two", "Style: terse", "fmt\n", `{"name":"os"}`, "```go\na := 1\n```\n"} {
		if !strings.Contains(asked, want) {
			t.Errorf("%q is missing in the prompt %q", want, asked)
		}
	}
	c.ok(project, "refactor", `{"code":"a := 1\nb := 2","language":"go","options":{"inline":true,"temperature":0}}`)
	_, end = readCompletion(c, "", "refactor_complete")
	want := `[{"from":{"column":0,"line":2},"text":"b := 3","to":{"column":0,"line":3}}]`
	if got, _ := json.Marshal(end["changes"]); string(got) != want {
		t.Errorf("the changes are %s", got)
	}
	if end["refactored_code"] != "a := 1\nb := 3" || !strings.Contains(asked, "inline: true") ||
		strings.Contains(asked, "temperature") {
		t.Errorf("%v of %q", end, asked)
	}
}

func TestChangesGoToTheOthersInOrder(t *testing.T) {
	s := start(t, nil)
	a, b := s.dial("a"), s.dial("b")
	a.join(project, `{"client_id":"editor-a","after":"now"}`)
	from, _ := b.join(project, `{"client_id":"editor-b","after":"now"}`)["position"].(string)
	for i := range 20 {
		from, other := a, b
		if i%2 == 1 {
			from, other = b, a
		}
		r := from.ok(project, "code_change", fmt.Sprintf(`{"changes":{"text":"%d"},"file":"a.go","user_id":"forged"}`, i))
		if r["position"] == nil {
			t.Fatalf("the reply is %v", r)
		}
		p := other.want("code_updated")
		if got := fmt.Sprint(p["changes"].(map[string]any)["text"]); got != fmt.Sprint(i) || p["file"] != "a.go" ||
			p["user_id"] == "forged" || p["timestamp"] == nil {
			t.Fatalf("change %d came as %v", i, p)
		}
	}
	b.conn.CloseNow()
	again := s.dial("b")
	if r := again.join(project, fmt.Sprintf(`{"client_id":"editor-b","after":%q}`, from)); r["recovered"] != true {
		t.Fatalf("rejoined with %v", r)
	}
	for i := 0; i < 20; i += 2 { // all but its own
		if p := again.want("code_updated"); fmt.Sprint(p["changes"].(map[string]any)["text"]) != fmt.Sprint(i) ||
			p["user_id"] != "a" {
			t.Fatalf("missed change %d came as %v", i, p)
		}
	}
	again.ok(project, "code_change", `[1,2]`) // not an object, so it is itself the change
	if p := a.want("code_updated"); fmt.Sprint(p["changes"]) != "[1 2]" || p["user_id"] != "b" {
		t.Errorf("an array came as %v", p)
	}
	const once = `{"_duckwire":{"id":"once"},"id":"lamp","changes":1}`
	first := again.ok(project, "code_change", once)
	if second := again.ok(project, "code_change", once); first["position"] != second["position"] {
		t.Errorf("sent twice: %v, %v", first, second)
	}
	if p := a.want("code_updated"); p["id"] != "lamp" || p["_duckwire"] != nil {
		t.Errorf("came as %v", p)
	}
	other := `{"_duckwire":{"id":"once"},"id":"lamp","changes":2}`
	if status, r := again.reply(again.send(project, "code_change", other)); status != "error" || r["reason"] != "conflict" {
		t.Errorf("another change under the id: %s %v", status, r)
	}
}

func TestBinaryChanges(t *testing.T) {
	s := start(t, nil)
	a, b := s.dial("a"), s.dial("b")
	a.join(project, `{}`)
	b.join(project, `{}`)
	update := []byte{0, 255, 1, 2}
	if status, r := a.reply(a.sendBytes(project, "code_change", update)); status != "ok" || r["position"] == nil {
		t.Fatalf("%s %v", status, r)
	}
	if m := b.next(); m.Event != "code_updated" || m.Topic != project || !bytes.Equal(m.Binary, update) {
		t.Errorf("got %+v", m)
	}
	for name, ref := range map[string]string{
		"bytes": a.sendBytes(project, "code_change", make([]byte, 64<<10+1)),
		"JSON":  a.send(project, "code_change", `{"changes":"`+strings.Repeat("x", 64<<10)+`"}`),
	} {
		status, r := a.reply(ref)
		if status != "error" || r["reason"] != "Changes exceed maximum message size" || r["code"] != "too_large" ||
			r["limit"] != float64(64<<10) {
			t.Errorf("%s: %s %v", name, status, r)
		}
	}
	a.ok(project, "say", `{}`)
	a.want("say") // it has not received its own changes
}

func TestCursorsGoToTheOthers(t *testing.T) {
	s := start(t, nil)
	a, b := s.dial("a"), s.dial("b")
	a.join(project, `{}`)
	b.join(project, `{}`)
	a.ok(project, "cursor_position", `{"position":{"line":3,"column":7,"file":"a.go"}}`)
	p := b.want("cursor_update")
	if got, _ := json.Marshal(p["position"]); string(got) != `{"column":7,"file":"a.go","line":3}` ||
		p["user_id"] != "a" || p["timestamp"] == nil {
		t.Errorf("it came as %v", p)
	}
	a.ok(project, "say", `{}`)
	a.want("say") // not its own cursor
	late := s.dial("c")
	late.join(project, `{}`)
	if p := late.want("cursor_update"); p["user_id"] != "a" {
		t.Errorf("a late one sees %v", p)
	}
}

func TestPresenceFollowsTheCursor(t *testing.T) {
	s := start(t, nil)
	b := s.dial("b", "code:*=subscribe")
	b.presences = true
	b.join("code:file:a.ex", `{}`)
	if state := b.want("presence_state"); len(state) != 0 {
		t.Errorf("who only reads is seen: %v", state)
	}
	a := s.dial("a")
	a.presences = true
	a.join("code:file:a.ex", `{"cursor_position":{"line":1,"column":2,"more":"x"}}`)
	meta := metaOf(t, a.want("presence_state"), "a")
	if fmt.Sprint(meta["cursor_position"]) != "map[column:2 line:1]" || meta["file_id"] != "a.ex" ||
		meta["online_at"] == nil {
		t.Errorf("the state is %v", meta)
	}
	since := meta["online_at"]
	b.want("presence_diff")
	const moves = 30
	for i := range moves {
		a.ok("code:file:a.ex", "cursor_position", fmt.Sprintf(`{"position":{"line":%d,"column":0}}`, i+1))
	}
	a.ok("code:file:a.ex", "activity", `{"state":"typing"}`)
	for diffs := 1; ; diffs++ {
		m := b.next()
		if m.Event != "presence_diff" {
			diffs--
			continue
		}
		joins, _ := object(t, m.Payload)["joins"].(map[string]any)
		meta := metaOf(t, joins, "a")
		if meta["online_at"] != since || meta["phx_ref_prev"] == nil {
			t.Fatalf("changed to %v, online since %v", meta, since)
		}
		if fmt.Sprint(meta["cursor_position"]) == fmt.Sprintf("map[column:0 line:%d]", moves) && meta["state"] == "typing" {
			if diffs > moves/2 {
				t.Errorf("%d diffs for %d moves", diffs, moves)
			}
			break
		}
	}
}

// metaOf returns the only meta of a key.
func metaOf(t *testing.T, state map[string]any, key string) map[string]any {
	t.Helper()
	entry, _ := state[key].(map[string]any)
	metas, _ := entry["metas"].([]any)
	if len(metas) != 1 {
		t.Fatalf("no meta of %q in %v", key, state)
	}
	return metas[0].(map[string]any)
}

func TestCodeRights(t *testing.T) {
	s := start(t, says("x"))
	const at = `"cursor_position":{"line":1,"column":1}`
	events := []struct{ event, payload, action string }{
		{"request_completion", `{"code":"x",` + at + `}`, "complete"},
		{"complete", `{"prefix":"x"}`, "complete"},
		{"generate", `{"prompt":"x"}`, "complete"},
		{"refactor", `{"code":"x"}`, "complete"},
		{"cursor_position", `{"position":{"line":1,"column":1}}`, "publish"},
		{"code_change", `{"changes":1}`, "publish"},
		{"anything", `{}`, "publish"},
		{"activity", `{"state":"idle"}`, "presence"},
	}
	for _, may := range []string{
		"subscribe", "subscribe,publish", "subscribe,complete", "subscribe,presence,produce,queue",
	} {
		c := s.dial("u", "code:*="+may)
		c.join(project, `{}`)
		for _, e := range events {
			status, r := c.ask(project, e.event, e.payload)
			allowed := strings.Contains(may, e.action)
			if allowed != (status == "ok") || !allowed && r["reason"] != "forbidden" {
				t.Errorf("%s with %s: %s %v", e.event, may, status, r)
			}
		}
	}
}

func TestCodeBadPayloads(t *testing.T) {
	s := start(t, says("x"))
	c := s.dial("u")
	c.join(project, `{}`)
	const at = `,"cursor_position":{"line":1,"column":1}`
	for _, tt := range []struct{ event, payload, field string }{
		{"request_completion", `[]`, "payload"},
		{"request_completion", `{}`, "code"},
		{"request_completion", `{"code":1}`, "code"},
		{"request_completion", `{"code":"x"}`, "cursor_position"},
		{"request_completion", `{"code":"x","cursor_position":{"line":-1,"column":0}}`, "cursor_position.line"},
		{"request_completion", `{"code":"x","file_type":{}` + at + `}`, "file_type"},
		{"request_completion", `{"code":"x","options":[]` + at + `}`, "options"},
		{"request_completion", `{"code":"x","options":{"max_length":"many"}` + at + `}`, "options.max_length"},
		{"request_completion", `{"code":"x","options":{"seed":"many"}` + at + `}`, "options.seed"},
		{"request_completion", `{"code":"x","model":7` + at + `}`, "model"},
		{"request_completion", `{"code":"x","id":7` + at + `}`, "id"},
		{"request_completion", `{"code":"x","id":"a b"` + at + `}`, "id"},
		{"request_completion", `{"code":"x","after":7` + at + `}`, "after"},
		{"request_completion", `{"code":"x","after":"?"` + at + `}`, "after"},
		{"request_completion", `{"code":"x","slot":""` + at + `}`, "slot"},
		{"request_completion", `{"code":"x","supersede":"never"` + at + `}`, "supersede"},
		{"request_completion", `{"code":"x","keep":{"cancel_after":-1}` + at + `}`, "keep.cancel_after"},
		{"complete", `{"prefix":{}}`, "prefix"},
		{"complete", `{"language":1}`, "language"},
		{"generate", `{}`, "prompt"},
		{"generate", `{"prompt":"x","imports":"fmt"}`, "imports"},
		{"generate", `{"prompt":"x","language":["elixir"]}`, "language"},
		{"refactor", `{}`, "code"},
		{"refactor", `{"code":"x","type":1}`, "type"},
		{"refactor", `{"code":"x","preserve_behavior":"yes"}`, "preserve_behavior"},
		{"cancel", `{}`, "request_id"},
		{"cancel_completion", `{"completion_id":7}`, "completion_id"},
		{"get_status", `{}`, "request_id"},
		{"get_status", `"x"`, "payload"},
		{"cursor_position", `{}`, "position"},
		{"cursor_position", `{"position":[1,2]}`, "position"},
		{"cursor_position", `{"position":{"line":1,"column":0.5}}`, "position.column"},
		{"code_change", `{}`, "changes"},
		{"code_change", `null`, "changes"},
		{"code_change", `{"_duckwire":{"id":"a b"},"changes":1}`, "_duckwire.id"},
		{"activity", `{}`, "state"},
		{"activity", `{"state":"asleep"}`, "state"},
	} {
		status, r := c.ask(project, tt.event, tt.payload)
		if status != "error" || r["reason"] != "invalid" || r["field"] != tt.field || r["detail"] == nil {
			t.Errorf("%s %s: %s %v, want the field %s", tt.event, tt.payload, status, r, tt.field)
		}
	}
	c.ok(project, "say", `{}`) // the channel still works
}

func TestWithoutAProvider(t *testing.T) {
	s := start(t, nil)
	c := s.dial("u")
	c.join(project, `{}`)
	if status, r := c.ask(project, "complete", `{"prefix":"x"}`); status != "error" || r["reason"] != "unavailable" {
		t.Errorf("%s %v", status, r)
	}
}
