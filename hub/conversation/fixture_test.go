package conversation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chat is the topic of the conversation in most tests.
const chat = "conversation:c"

// node is a Service on a hub. The nodes of one test may share the hub and a store.
type node struct {
	*conversation.Service
	t   testing.TB
	hub *hub.Hub
}

// start returns a node with a hub of its own, with conversations in memory.
func start(t testing.TB, provider hub.Provider) *node {
	t.Helper()
	return startOn(t, startHub(t, provider), nil)
}

func startHub(t testing.TB, provider hub.Provider) *hub.Hub {
	h := hub.New(hub.Options{Provider: provider, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(h.Close)
	return h
}

func startOn(t testing.TB, h *hub.Hub, store conversation.Store) *node {
	o := conversation.Options{Hub: h, Logger: slog.New(slog.DiscardHandler), Store: store, Vocabulary: plainWords{}}
	return &node{conversation.New(o), t, h}
}

// enter enters the conversation of a topic, and releases it at the end of the test.
func (n *node) enter(topic, user string) *conversation.Session {
	n.t.Helper()
	s, _, err := n.Enter(topic, conversation.Entry{User: user}, func() error { return nil })
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(s.Release)
	return s
}

// ask asks a question that must be accepted.
func ask(t testing.TB, s *conversation.Session, user, content string) conversation.Asked {
	t.Helper()
	asked, err := s.Ask(inquiry(user, content))
	if err != nil {
		t.Fatal(err)
	}
	return asked
}

func inquiry(user, content string) *conversation.Inquiry {
	return &conversation.Inquiry{User: user, Content: content, Request: hub.CompletionRequest{Kind: hub.ChatCompletion}}
}

// contents returns the contents of a conversation's messages.
func contents(t testing.TB, s *conversation.Session) string {
	t.Helper()
	r, err := s.Record()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, m := range r.Messages {
		list = append(list, m.Content)
	}
	return strings.Join(list, " ")
}

// plainWords is a Vocabulary that is easy to compare: an event's payload is one string.
type plainWords struct{}

func says(event, format string, args ...any) hub.EventInput {
	payload, _ := json.Marshal(fmt.Sprintf(format, args...))
	return hub.EventInput{Event: event, Payload: payload}
}

func (plainWords) Question(q *conversation.Message) hub.EventInput {
	return says("question", "%s", q.Content)
}

func (plainWords) Answered(e *conversation.Ending) hub.EventInput {
	return says("answered", "%s: %s", e.Question.Content, e.State.Text)
}

func (plainWords) Cancelled(e *conversation.Ending) hub.EventInput {
	return says("cancelled", "%s: %s by %s", e.Question.Content, e.State.Status, e.State.Account.EndedBy)
}

func (plainWords) Failed(e *conversation.Ending) hub.EventInput {
	return says("failed", "%s: %s", e.Question.Content, e.State.Ending.Error.Message)
}

func (plainWords) Progress(p *conversation.Progress) hub.EventInput {
	return says("progress", "%s: %d", p.Question.Content, p.Stage)
}

func (plainWords) Reset(*conversation.Record) hub.EventInput { return says("reset", "") }

func (plainWords) ContextChanged(r *conversation.Record) hub.EventInput {
	return says("context", "%d", len(r.Context))
}

// listener reads a topic's events.
type listener struct {
	t      testing.TB
	wake   *log.Wake
	reader *hub.TopicReader
	items  []log.Item
}

// listen reads a topic from now on.
func listen(t testing.TB, h *hub.Hub, topic string) *listener {
	t.Helper()
	wake := log.NewWake()
	r, _, err := h.Subscribe(topic, log.Position{Now: true}, wake)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return &listener{t: t, wake: wake, reader: r}
}

// next returns the next event that is not ephemeral, as "event payload".
func (l *listener) next() string {
	l.t.Helper()
	for {
		for len(l.items) > 0 {
			ev := l.items[0].Event
			if l.items = l.items[1:]; ev.Offset > 0 {
				var payload string
				_ = json.Unmarshal(ev.Payload(), &payload)
				return ev.Name + " " + payload
			}
		}
		if l.items, _ = l.reader.Read(nil); len(l.items) == 0 {
			hubtest.Recv(l.t, "an event", l.wake.C)
		}
	}
}

// want fails the test unless these are the next events.
func (l *listener) want(events ...string) {
	l.t.Helper()
	for _, want := range events {
		if got := l.next(); got != want {
			l.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// model is a provider whose completions a test answers one by one.
type model struct{ asked chan *pending }

// pending is one completion that waits for its pieces.
type pending struct {
	req    *hub.CompletionRequest
	pieces chan string // closing it ends the answer well
	fail   chan error
}

func newModel() *model { return &model{asked: make(chan *pending, 8)} }

// Models implements hub.Provider.
func (m *model) Models(context.Context) ([]hub.Model, error) { return nil, nil }

// Complete implements hub.Provider.
func (m *model) Complete(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
	p := &pending{req: req, pieces: make(chan string), fail: make(chan error)}
	w.Accepted()
	m.asked <- p
	for {
		select {
		case text, ok := <-p.pieces:
			if !ok {
				w.Finish(hub.Finish{Reason: "stop"})
				return nil
			}
			if err := w.Text(text); err != nil {
				return err
			}
		case err := <-p.fail:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next waits for the next completion.
func (m *model) next(t testing.TB) *pending {
	t.Helper()
	return hubtest.Recv(t, "a completion", m.asked)
}

// say answers the next completion.
func (m *model) say(t testing.TB, text string) *pending {
	t.Helper()
	p := m.next(t)
	p.pieces <- text
	close(p.pieces)
	return p
}

// write adds text to the answer, and returns when it is in the stream.
func (p *pending) write(text string) {
	p.pieces <- text
	synctest.Wait()
}

// prompt returns the messages that the model got, one a line.
func (p *pending) prompt() string {
	var list []string
	for _, m := range p.req.Messages {
		list = append(list, m.Role+": "+m.Content)
	}
	return strings.Join(list, "\n")
}

// quick is a provider that takes a while for each answer.
type quick struct{}

// Models implements hub.Provider.
func (quick) Models(context.Context) ([]hub.Model, error) { return nil, nil }

// Complete implements hub.Provider.
func (quick) Complete(ctx context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
	w.Accepted()
	for range 3 {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := w.Text("x"); err != nil {
			return err
		}
	}
	w.Finish(hub.Finish{Reason: "stop"})
	return nil
}
