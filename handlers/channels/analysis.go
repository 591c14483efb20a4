package channels

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub/errs"
)

// analysis is the kind of analysis:project:ID, analysis:file:ID and, by the same rules, any other analysis:… topic.
// Clients start analyses, and receive announcements that others, such as a linter, publish on the topic. The events are
// those of RubberDuck (github.com/pcharbon70/rubber_duck, lib/rubber_duck_web/channels/analysis_channel.ex), and of its
// clients' second generation.
type analysis struct{ begin startAnalysis }

func (k analysis) Join(ctx context.Context, c *socket.Channel, _ json.RawMessage) (socket.Handler, error) {
	if err := enter(ctx, c); err != nil {
		if errors.Is(err, errs.ErrForbidden) {
			return nil, socket.RefuseAs("forbidden", "unauthorized")
		}
		return nil, err
	}
	c.Set("status", "joined")
	if scope, id := scopeOf(c.Topic()); scope != "" {
		c.Set(scope+"_id", id)
	}
	if err := c.Subscribe(c.Topic()); err != nil {
		return nil, err
	}
	h := &analysisHandler{publisher: publisher{c}, analyses: newAnalyses(c, k.begin, analysisChannelEvents)}
	return h, goOn(c, h.analyses.goOn)
}

// analysisChannelEvents tells how the commands on analysis:* are answered.
var analysisChannelEvents = map[string]analysisEvents{
	"start_analysis": {last: projectEndEvents},
	"analyze":        {last: codeEndEvents},
}

type analysisHandler struct {
	publisher // handles all other events
	analyses  *analyses
}

func (h *analysisHandler) Handle(ctx context.Context, m *socket.Message) error {
	switch m.Event {
	case "start_analysis":
		return h.analyses.start(ctx, m)
	case "analyze":
		return h.analyses.ofCode(ctx, m)
	case "cancel_analysis", "cancel":
		return cancel(ctx, h.c, m)
	case "get_status":
		return getStatus(ctx, h.c, m)
	}
	return h.publisher.Handle(ctx, m)
}
