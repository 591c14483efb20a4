package channels

import (
	"context"
	"time"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
)

// completions are the completions that one client requested on one channel.
type completions struct {
	c        *socket.Channel
	followed followed
}

func newCompletions(c *socket.Channel) *completions { return &completions{c: c} }

// start starts the completion, or attaches to the one that the same user started under the same id.
func (a *completions) start(
	ctx context.Context, req *openai.Request, keep time.Duration, what *asked,
) (*hub.Stream, error) {
	if err := a.c.Authorize(ctx, a.c.Topic(), rights.ActionComplete); err != nil {
		return nil, err
	}
	spec := req.Spec("completion", a.c.Identity(), hub.IdlePolicy{CancelAfter: keep})
	spec.Asked = what.encode()
	s, _, err := a.c.Hub().Complete(&req.CompletionRequest, spec, hub.CompletionMeta{Kind: req.Kind, Model: req.Model})
	return s, err
}

// completionReply is the reply to an event that started a completion.
type completionReply struct {
	ID         string `json:"id"` // as in the events of the answer
	Completion string `json:"completion_id"`
	Request    string `json:"request_id"`
	resumed
}

// stream starts a completion, replies with its id, and pushes its text and its end.
func (a *completions) stream(
	ctx context.Context, m *socket.Message, p *modelParams, req *openai.Request, what *asked,
) error {
	after, err := p.position()
	if err != nil {
		return err
	}
	s, err := a.start(ctx, req, reconnectTime, what)
	if err != nil {
		return err
	}
	resume, err := resumeOf(s, p, after)
	if err != nil {
		return err
	}
	reply := completionReply{answerID(s), s.ID, s.ID, resume}
	if !a.followed.add(s.ID) {
		m.Reply(reply)
		return nil
	}
	t := a.renderer(s, what)
	_, err = a.c.Follow(socket.Following{Stream: s, Render: t.render, Begin: func() (out socket.Outgoing) {
		m.Reply(reply)
		if a.c.Positions() {
			out = outgoing("completion_started", t.open())
		}
		return out
	}}, after)
	return a.followed.unless(s.ID, err)
}

// renderer returns the renderer of a completion that this command asked for.
func (a *completions) renderer(s *hub.Stream, what *asked) *completionRenderer {
	return &completionRenderer{
		stream: s, id: answerID(s), events: what.completionEvents(), over: func() { a.followed.remove(s.ID) },
	}
}

// goOn continues a completion that the client followed before its connection was cut.
func (a *completions) goOn(s *hub.Stream, from log.Place) error {
	a.followed.keep(s.ID)
	t := a.renderer(s, askedFor(s))
	return a.c.Continue(socket.Following{Stream: s, Render: t.render}, from)
}
