package conversation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
)

func object(text string) (members map[string]json.RawMessage) {
	_ = json.Unmarshal([]byte(text), &members)
	return members
}

// The model gets the context and the earlier messages, until a reset.
func TestPromptHasContextAndMessages(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		m := newModel()
		n := start(t, m)
		s, l := n.enter(chat, "u"), listen(t, n.hub, chat)
		for _, members := range []string{`{"language":"go","gone":1}`, `{"gone":null}`} {
			if err := s.MergeContext("u", object(members)); err != nil {
				t.Fatal(err)
			}
		}
		l.want("context 2", "context 1")
		ask(t, s, "u", "one")
		m.say(t, "ONE")
		l.want("question one", "answered one: ONE")
		q := inquiry("u", "two")
		q.Context = object(`{"mood":"bright"}`)
		if _, err := s.Ask(q); err != nil {
			t.Fatal(err)
		}
		p := m.say(t, "TWO")
		want := `system: The context of this conversation, as JSON:
{"language":"go","mood":"bright"}
user: one
assistant: ONE
user: two`
		if p.prompt() != want {
			t.Errorf("the model was asked\n%s\nwant\n%s", p.prompt(), want)
		}
		if body := string(p.req.Body["messages"]); !strings.Contains(body, `{"content":"ONE","role":"assistant"}`) {
			t.Errorf("an upstream gets %s", body)
		}
		if l.want("question two", "answered two: TWO"); contents(t, s) != "one ONE two TWO" {
			t.Errorf("the messages are %s", contents(t, s))
		}
		before, _ := s.Record()
		id, err := s.Reset("u")
		after, _ := s.Record()
		if err != nil || id != after.SessionID || id == before.SessionID || len(after.Messages) > 0 {
			t.Errorf("after a reset: %+v, %v", after, err)
		}
		l.want("reset ")
		ask(t, s, "u", "three")
		if p := m.say(t, "THREE"); p.prompt() != "user: three" {
			t.Errorf("after a reset the model was asked\n%s", p.prompt())
		}
		l.want("question three", "answered three: THREE")
	})
}

func TestOnlyTheNewestMessagesGoToTheModel(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		m := newModel()
		n := start(t, m)
		s, l := n.enter(chat, "u"), listen(t, n.hub, chat)
		var p *pending
		for i := range 25 {
			ask(t, s, "u", fmt.Sprint("q", i))
			p = m.say(t, fmt.Sprint("a", i))
			l.want(fmt.Sprint("question q", i), fmt.Sprintf("answered q%d: a%d", i, i))
		}
		if got := p.req.Messages; len(got) != 20 || got[19].Content != "q24" || got[18].Content != "a23" {
			t.Errorf("the model got %d messages:\n%s", len(got), p.prompt())
		}
		if r, _ := s.Record(); len(r.Messages) != 40 || r.Messages[39].Content != "a24" {
			t.Errorf("%d messages are stored: %s", len(r.Messages), contents(t, s))
		}
	})
}

// An answer has exactly one end, and an incomplete answer is stored as well.
func TestAnswersEnd(t *testing.T) {
	type running struct { // a running answer
		session *conversation.Session
		pending *pending
		stream  *hub.Stream
	}
	for _, tt := range []struct {
		name, want, status string
		end                func(t *testing.T, a running)
	}{
		{"well", "answered one: ON", "", func(_ *testing.T, a running) { close(a.pending.pieces) }},
		{"by a cancel", "cancelled one: cancelled by v", "cancelled", func(t *testing.T, a running) {
			if n, err := a.session.Cancel("v"); n != 1 || err != nil {
				t.Errorf("cancelled %d, %v", n, err)
			}
		}},
		{"elsewhere", "cancelled one: cancelled by admin", "cancelled", func(_ *testing.T, a running) {
			a.stream.Cancel("admin")
		}},
		{"by a fault", "failed one: broken", "failed", func(_ *testing.T, a running) {
			a.pending.fail <- errors.New("broken")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hubtest.OwnClock(t, func(t *testing.T) {
				m := newModel()
				n := start(t, m)
				s, l := n.enter(chat, "u"), listen(t, n.hub, chat)
				a := ask(t, s, "u", "one")
				p := m.next(t)
				p.write("ON")
				tt.end(t, running{s, p, a.Stream})
				l.want("question one", tt.want)
				if got, err := s.Cancel("u"); got != 0 || err != nil { // it is over
					t.Errorf("then cancelled %d, %v", got, err)
				}
				r, _ := s.Record()
				if contents(t, s) != "one ON" || r.Messages[1].Metadata.Status != tt.status || r.Running != nil {
					t.Errorf("stored is %+v", r)
				}
				if n.more(l, s) {
					t.Error("another event was published")
				}
			})
		})
	}
}

// more publishes a mark, and reports whether any other event comes before it.
func (n *node) more(l *listener, s *conversation.Session) bool {
	n.t.Helper()
	if _, err := n.hub.Publish(s.Topic(), "u", []hub.EventInput{says("mark", "")}); err != nil {
		n.t.Fatal(err)
	}
	return l.next() != "mark "
}

func TestNewerQuestionSupersedes(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		m := newModel()
		n := start(t, m)
		s, l := n.enter(chat, "u"), listen(t, n.hub, chat)
		first := ask(t, s, "u", "one")
		m.next(t).write("ON")
		ask(t, s, "v", "two")
		if p := m.say(t, "TWO"); p.prompt() != "user: one\nassistant: ON\nuser: two" {
			t.Errorf("the model was asked\n%s", p.prompt())
		}
		l.want("question one", "cancelled one: superseded by v", "question two", "answered two: TWO")
		if st := first.Stream.Status(); st != hub.StatusSuperseded {
			t.Errorf("the first stream is %s", st)
		}
	})
}

// The end of an answer is published while the hub drains, but a new question is refused.
func TestAnswerEndsWhileTheHubDrains(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		m := newModel()
		n := start(t, m)
		s, l := n.enter(chat, "u"), listen(t, n.hub, chat)
		ask(t, s, "u", "one")
		p := m.next(t)
		draining, drained := log.NewWake(), make(chan struct{})
		defer n.hub.OnDrain(draining)()
		go func() {
			n.hub.Drain(t.Context())
			close(drained)
		}()
		<-draining.C
		p.pieces <- "ONE"
		close(p.pieces)
		l.want("question one", "answered one: ONE")
		<-drained
		if _, err := s.Ask(inquiry("u", "two")); !errors.Is(err, errs.ErrClosed) {
			t.Errorf("after it: %v", err)
		}
		if got := contents(t, s); got != "one ONE" { // nothing is left of the second
			t.Errorf("the messages are %s", got)
		}
	})
}

func TestAskedTwiceIsOneQuestion(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		m := newModel()
		n := start(t, m)
		s := n.enter(chat, "u")
		put := func(user string) conversation.Asked {
			q := inquiry(user, "one")
			q.ID = "mine"
			a, err := s.Ask(q)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		first, again := put("u"), put("u")
		want := conversation.Asked{Message: first.Message, StreamID: first.StreamID, Duplicate: true}
		if again != want {
			t.Errorf("asked again: %+v, at first %+v", again, first)
		}
		other := inquiry("u", "two")
		other.ID = "mine"
		if a, err := s.Ask(other); !errors.Is(err, errs.ErrConflict) {
			t.Errorf("another question with the id: %+v, %v", a, err)
		}
		if q, err := s.Question("", first.StreamID); err != nil || q.ID != first.Message {
			t.Errorf("the question of the stream is %v, %v", q, err)
		}
		if _, err := s.Question("none", "none"); !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("a question that was not asked: %v", err)
		}
		if other := put("v"); other.Duplicate || other.Message == first.Message { // ids are each user's own
			t.Errorf("asked by another user: %+v", other)
		}
	})
}

func TestNoModel(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := start(t, nil).enter(chat, "u")
		if _, err := s.Ask(inquiry("u", "one")); !errors.Is(err, conversation.ErrNoModel) {
			t.Errorf("without a provider: %v", err)
		}
		if r, _ := s.Record(); r.Running != nil || len(r.Messages) > 0 {
			t.Errorf("left is %+v", r)
		}
	})
}

// The progress of an answer is published on the status topic.
func TestProgressIsPublished(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		m := newModel()
		n := start(t, m)
		s, l := n.enter(chat, "u"), listen(t, n.hub, "status:c")
		ask(t, s, "u", "one")
		m.say(t, "ONE")
		stage := func(question string, stage conversation.Stage) string {
			return fmt.Sprintf("progress %s: %d", question, stage)
		}
		l.want(stage("one", conversation.StageStarted), stage("one", conversation.StageText))
		l.want(stage("one", conversation.StageDone))
		ask(t, s, "u", "two")
		m.next(t).fail <- errors.New("broken")
		l.want(stage("two", conversation.StageStarted), stage("two", conversation.StageFailed))
	})
}

func TestPreference(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		n := start(t, newModel())
		s := n.enter(chat, "u")
		for _, bad := range []conversation.Preference{{}, {Provider: "p"}, {Model: strings.Repeat("m", 201)}} {
			if err := s.Prefer(bad); !errors.Is(err, errs.ErrInvalid) {
				t.Errorf("%.40v: %v", bad, err)
			}
		}
		want := conversation.Preference{Model: "m", Provider: "p", Default: true}
		if err := s.Prefer(want); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.Model(conversation.Preference{}); got != want {
			t.Errorf("a question goes to %v", got)
		}
		own := conversation.Preference{Model: "own"}
		if got, _ := s.Model(own); got != own {
			t.Errorf("a question with a model of its own goes to %v", got)
		}
		if got, _ := n.enter("conversation:next", "u").Model(conversation.Preference{}); got != want {
			t.Errorf("the user's next conversation begins with %v", got)
		}
		if got, _ := n.enter("conversation:other", "v").Model(conversation.Preference{}); got.Model != "" {
			t.Errorf("another user's begins with %v", got)
		}
	})
}

func TestLimits(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		n := start(t, nil)
		s := n.enter(chat, "u")
		big := json.RawMessage(`{"x":"` + strings.Repeat("x", 4<<10) + `"}`)
		long := map[string]json.RawMessage{"x": json.RawMessage(`"` + strings.Repeat("<", 17<<10) + `"`)}
		fits := map[string]json.RawMessage{"x": json.RawMessage(`"` + strings.Repeat("<", 15<<10) + `"`)}
		for _, tt := range []struct {
			field string
			err   error
		}{
			{"content", (&conversation.Inquiry{Content: " \n"}).Check()},
			{"content", (&conversation.Inquiry{Content: strings.Repeat("é", 4001)}).Check()},
			{"context", (&conversation.Inquiry{Content: "x", Context: long}).Check()},
			{"context", s.MergeContext("u", long)},
			{"", (&conversation.Inquiry{Content: strings.Repeat("é", 4000), Context: fits}).Check()},
			{"title", enters(n, conversation.Entry{User: "u", Title: strings.Repeat("x", 201)})},
			{"metadata", enters(n, conversation.Entry{User: "u", Metadata: json.RawMessage(`[]`)})},
			{"metadata", enters(n, conversation.Entry{User: "u", Metadata: big})},
		} {
			var fault *errs.FieldError
			field := ""
			if errors.As(tt.err, &fault) {
				field = fault.Field
			}
			if field != tt.field || field == "" && tt.err != nil {
				t.Errorf("%v, want the field %q", tt.err, tt.field)
			}
		}
	})
}

func enters(n *node, e conversation.Entry) error {
	_, _, err := n.Enter("conversation:new", e, func() error { return nil })
	return err
}
