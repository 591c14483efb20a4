package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestRequestsGoOnAfterCuts: two tabs of one user ask for all kinds of answers. Their connections are cut at random
// bytes, and each new one is of another transport. A tab remembers its last position, and joins with it; it pushes a
// request again only if it has heard nothing of it. Each tab gets its own answers, complete and once, and the topic's
// events.
func TestRequestsGoOnAfterCuts(t *testing.T) {
	t.Parallel()
	seed := *socketSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (-sockets.seed=%d repeats it)", seed, seed)
	cuts := 60
	if testing.Short() {
		cuts = 15
	}
	p := &paced{}
	// On a busy machine a tab may be away for long, and nothing of its topic may be dropped meanwhile.
	s := startServer(t, p, hub.Limits{HistoryEvents: 1 << 20, HistoryBytes: 1 << 30}, nil)
	s.Client().Transport = s.Client().Transport.(checked).next
	m := &model{t: t, s: s, deadline: time.Now().Add(4 * hubtest.Hung)}
	var tabs []*tab
	var wg sync.WaitGroup
	for i := range 2 {
		c := &tab{p: p, modelClient: &modelClient{
			m: m, rnd: rand.New(rand.NewPCG(seed, uint64(i))), id: i, token: token(t, "u", "*=*"),
		}}
		c.plan()
		tabs = append(tabs, c)
		wg.Go(c.live)
	}
	news, published := make(chan struct{}), 0
	wg.Go(func() {
		defer close(news)
		auth := "Authorization: Bearer " + token(t, "p", "*=*")
		for ; !p.healed.Load() || published == 0; published++ {
			body := fmt.Sprintf(`{"event":"news","payload":{"n":%d}}`, published)
			call[publishedJSON](s, http.StatusOK, "POST", "/v1/topics/code:project:1/events", body, auth)
			time.Sleep(2 * time.Millisecond) // its pace, which proves nothing
		}
	})
	hubtest.Until(t, fmt.Sprintf("%d cuts of each tab", cuts), func() bool {
		return tabs[0].cuts.Load() >= int64(cuts) && tabs[1].cuts.Load() >= int64(cuts) || t.Failed()
	})
	p.healed.Store(true)
	<-news
	p.news.Store(int64(published))
	wg.Wait()
	for _, c := range tabs {
		t.Logf("tab %d: %d connections were cut, %d pushes, %d bytes of text", c.id, c.cuts.Load(), c.pushes, c.bytes)
	}
}

// paced is a provider that goes on until the connections are not cut any longer.
type paced struct {
	healed atomic.Bool
	news   atomic.Int64 // how many events were published; 0 until it is known
	made   sync.Map     // the name of a request → the text that was made for it
}

var requestName = regexp.MustCompile(`req-[a-z]+-\d`)

func (p *paced) Complete(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
	asked := req.Prompt
	for _, message := range req.Messages {
		asked += message.Content
	}
	names := requestName.FindAllString(asked, -1)
	name := names[len(names)-1]
	var text strings.Builder
	for n := 0; !p.healed.Load() || n < 20; n++ {
		piece := fmt.Sprintf("%d Grüße 🦆\n", n)
		text.WriteString(piece)
		p.made.Store(name, text.String())
		if err := w.Text(piece); err != nil {
			return err
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.Finish(hub.Finish{Reason: "stop"})
	return nil
}

func (p *paced) Models(context.Context) ([]hub.Model, error) { return nil, nil }

// Analyze reports issues on the lines 1, 2, 3, …
func (p *paced) Analyze(ctx context.Context, _ *hub.AnalysisRequest, w hub.AnalysisWriter) error {
	for n := 1; !p.healed.Load() || n < 20; n++ {
		if err := w.Issues(hub.Issue{File: "f", Line: n, Message: "m"}); err != nil {
			return err
		}
		select {
		case <-time.After(3 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// tab is a client that resumes as the README shows it.
type tab struct {
	*modelClient
	p         *paced
	cuts      atomic.Int64
	pushes    int
	bytes     int
	positions map[string]string // by topic
	joins     map[string]string // the join_ref of each topic that is joined now
	requests  []*request
	news      int
}

// request is one of a tab's requests, and what it has heard of it.
type request struct {
	topic, event, payload, id string
	name                      string   // for which paced makes text; "" for an analysis
	ends                      []string // the events of the answer's end
	started                   string   // the event that it begins, sent once

	sent    bool // on this connection
	heard   bool
	begun   int
	message string // of a conversation
	text    string
	issues  int
	ended   []string
}

// plan sets what the tab asks for.
func (c *tab) plan() {
	c.positions = map[string]string{}
	add := func(topic, event, payload, started string, text bool, ends ...string) {
		name := ""
		id := fmt.Sprintf("%d-%s-%d", c.id, event, len(c.requests))
		if text {
			name = fmt.Sprintf("req-%s-%d", strings.ReplaceAll(event, "_", ""), c.id)
		}
		payload = fmt.Sprintf(`{"id":%q,"keep":"finish",%s}`, id, strings.ReplaceAll(payload, "NAME", name))
		c.requests = append(c.requests, &request{
			topic: topic, event: event, payload: payload, id: id, name: name, ends: ends, started: started,
		})
	}
	const code, analysis = "code:project:1", "analysis:project:1"
	chat := fmt.Sprintf("conversation:00000000-0000-4000-8000-00000000000%d", c.id)
	add(code, "request_completion", `"code":"NAME","cursor_position":{"line":1,"column":99}`, "completion_started", true,
		"completion_done")
	add(code, "generate", `"prompt":"NAME"`, "completion_started", true, "generation_complete")
	add(code, "refactor", `"code":"NAME"`, "completion_started", true, "refactor_complete")
	add(code, "analyze", `"code":"x"`, "analysis_started", false, "analysis_complete")
	add(analysis, "analyze", `"code":"y"`, "analysis_started", false, "analysis_result", "analysis_complete")
	add(chat, "message", `"content":"NAME"`, "thinking", true, "response")
}

// live opens one connection after another until everything has come.
func (c *tab) live() {
	for !c.m.t.Failed() {
		if time.Now().After(c.m.deadline) {
			for _, r := range c.requests {
				c.m.t.Errorf("tab %d: %s: heard %v, %d bytes, ended by %v", c.id, r.id, r.heard, len(r.text), r.ended)
			}
			return
		}
		if c.connect() {
			c.check()
			return
		}
		c.cuts.Add(1)
	}
}

func (c *tab) connect() (done bool) {
	limit := int64(500 + c.rnd.ExpFloat64()*8000)
	if c.p.healed.Load() {
		limit = 1 << 40
	}
	var err error
	switch c.rnd.IntN(3) {
	case 0:
		c.pipe, err = openModelWS(c.modelClient, limit)
	case 1:
		c.pipe, err = openModelPoll(c.modelClient, limit)
	default:
		c.pipe, err = openModelSSE(c.modelClient, limit)
	}
	if err != nil {
		return false
	}
	defer c.pipe.close()
	c.joins = map[string]string{}
	for _, r := range c.requests {
		r.sent = false
	}
	if c.join() != nil {
		return false
	}
	for !c.m.t.Failed() && time.Now().Before(c.m.deadline) {
		frame, err := c.pipe.receive(20 * time.Millisecond)
		if errors.Is(err, errCut) && c.rnd.IntN(2) == 0 && !c.p.healed.Load() {
			c.cuts.Add(1)
			err = c.pipe.resume()
		}
		if err != nil {
			return false
		}
		if frame != nil {
			c.take(frame)
		}
		if c.hasAll() {
			return true
		}
		if c.push() != nil {
			return false
		}
	}
	return false
}

// join joins all topics from the last positions on.
func (c *tab) join() error {
	var frames [][]byte
	for _, r := range c.requests {
		if _, sent := c.joins[r.topic]; sent {
			continue
		}
		c.joins[r.topic] = ""
		after := c.positions[r.topic]
		if after == "" {
			after = "0"
		}
		ref := c.nextRef()
		frames = append(frames, fmt.Appendf(nil, `[%q,%q,%q,"phx_join",{"after":%q}]`, ref, ref, r.topic, after))
	}
	return c.pipe.send(frames...)
}

// push pushes the requests of which nothing was heard, once for each connection.
func (c *tab) push() error {
	for _, r := range c.requests {
		if r.heard || r.sent || c.joins[r.topic] == "" {
			continue
		}
		r.sent = true
		c.pushes++
		frame := fmt.Appendf(nil, `[%q,"%s/%s",%q,%q,%s]`, c.joins[r.topic], r.id, c.nextRef(), r.topic, r.event, r.payload)
		if err := c.pipe.send(frame); err != nil {
			return err
		}
	}
	return nil
}

// take takes one frame, as a client would.
func (c *tab) take(frame []byte) {
	var f [5]json.RawMessage
	if err := json.Unmarshal(frame, &f); err != nil {
		c.m.t.Errorf("tab %d got %q", c.id, frame)
		return
	}
	text := func(raw json.RawMessage) (s string) { _ = json.Unmarshal(raw, &s); return s }
	joinRef, ref, topic, event := text(f[0]), text(f[1]), text(f[2]), text(f[3])
	if event == "phx_reply" {
		c.reply(joinRef, ref, topic, f[4])
		return
	}
	if strings.HasPrefix(event, "phx_") || event == "reset" {
		c.m.t.Errorf("tab %d: %s", c.id, frame)
		return
	}
	c.event(topic, event, f[4])
	if ref != "" {
		c.positions[topic] = ref
	}
}

func (c *tab) reply(joinRef, ref, topic string, payload json.RawMessage) {
	var p struct {
		Status   string
		Response struct {
			ID, Position string
			MessageID    string `json:"message_id"`
			Recovered    *bool
		}
	}
	if err := json.Unmarshal(payload, &p); err != nil || p.Status != "ok" {
		c.m.t.Errorf("tab %d: the reply to %s on %s: %s", c.id, ref, topic, payload)
		return
	}
	id, _, pushed := strings.Cut(ref, "/")
	if !pushed { // a join
		if p.Response.Recovered == nil || !*p.Response.Recovered {
			c.m.t.Errorf("tab %d: %s: %s", c.id, topic, payload)
		}
		c.joins[topic], c.positions[topic] = joinRef, p.Response.Position
		return
	}
	r := c.find(id)
	if r == nil || p.Response.ID != id {
		c.m.t.Errorf("tab %d: the reply to %s has the id %q", c.id, id, p.Response.ID)
		return
	}
	r.heard = true
}

func (c *tab) find(id string) *request {
	for _, r := range c.requests {
		if r.id == id {
			return r
		}
	}
	return nil
}

// event takes an event, which must be the next one.
func (c *tab) event(topic, event string, payload json.RawMessage) {
	var p struct {
		ID, Chunk string
		MessageID string `json:"message_id"`
		At, N     int
		Issues    json.RawMessage // of an analysis_update, a list
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		c.m.t.Errorf("tab %d: %v in %s %s", c.id, err, event, payload)
	}
	switch {
	case event == "news":
		if p.N != c.news {
			c.m.t.Errorf("tab %d: news %d, want %d", c.id, p.N, c.news)
		}
		c.news++
		return
	case strings.HasPrefix(event, "presence_"), event == "status_update", event == "message":
		return
	}
	r := c.find(p.ID)
	if event == "response" { // of the topic: it has the message's id
		for _, r = range c.requests {
			if r.message == p.MessageID {
				break
			}
		}
	}
	if r == nil || r.topic != topic {
		c.m.t.Errorf("tab %d, which did not ask for it: %s %s", c.id, event, payload)
		return
	}
	r.heard = true
	if r.message == "" {
		r.message = p.MessageID
	}
	r.take(c, event, p.Chunk, p.At, p.Issues)
}

func (r *request) take(c *tab, event, chunk string, at int, issues json.RawMessage) {
	fault := func(what string) { c.m.t.Errorf("tab %d: %s: %s: %s", c.id, r.id, event, what) }
	if len(r.ended) > 0 && event != r.ends[min(len(r.ended), len(r.ends)-1)] {
		fault("after the end")
	}
	switch {
	case event == r.started:
		if r.begun++; r.begun > 1 || r.text != "" {
			fault("not at the beginning")
		}
	case chunk != "":
		if at != len(r.text) {
			fault(fmt.Sprintf("a chunk at %d, want it at %d", at, len(r.text)))
		}
		r.text += chunk
		c.bytes += len(chunk)
	case event == "analysis_update":
		var list []struct{ Line int }
		if r.issues++; json.Unmarshal(issues, &list) != nil || len(list) != 1 || list[0].Line != r.issues {
			fault(fmt.Sprintf("issues %s, want one on line %d", issues, r.issues))
		}
	case len(r.ended) < len(r.ends) && event == r.ends[len(r.ended)]:
		r.ended = append(r.ended, event)
	case event == "file_analyzed", event == "analysis_summary", event == "analysis_progress":
	default:
		fault("unexpected")
	}
}

// hasAll reports whether everything has come that was made.
func (c *tab) hasAll() bool {
	for _, r := range c.requests {
		if len(r.ended) < len(r.ends) {
			return false
		}
	}
	published := c.p.news.Load()
	return published > 0 && int64(c.news) >= published
}

// check compares what has come with what was made.
func (c *tab) check() {
	for _, r := range c.requests {
		made, _ := c.p.made.Load(r.name)
		if want, _ := made.(string); r.text != want || r.begun != 1 || r.name == "" && r.issues < 19 {
			c.m.t.Errorf("tab %d: %s: got %d bytes of %d, and %d issues", c.id, r.id, len(r.text), len(want), r.issues)
		}
	}
}
