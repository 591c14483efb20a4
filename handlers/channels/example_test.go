package channels_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// web/docs/channels.md shows the code between BEGIN and END; TestExampleIsWhatTheDocumentShows compares the two.
//
// BEGIN

// poll is poll:ID: everybody has one vote, and everybody sees how it stands.
type poll struct {
	mu    sync.Mutex
	votes map[string]map[string]string // topic → user → choice
}

// Join implements socket.Kind.
func (p *poll) Join(ctx context.Context, c *socket.Channel, _ json.RawMessage) (socket.Handler, error) {
	if err := c.Authorize(ctx, c.Topic(), rights.ActionSubscribe); err != nil {
		return nil, err
	}
	return &voter{p, c}, c.Subscribe(c.Topic())
}

// voter is one client on one poll.
type voter struct {
	poll *poll
	c    *socket.Channel
}

// Handle implements socket.Handler.
func (v *voter) Handle(ctx context.Context, m *socket.Message) error {
	if m.Event != "vote" {
		return socket.Refuse("unknown event; a poll knows vote")
	}
	if err := v.c.Authorize(ctx, v.c.Topic(), rights.ActionPublish); err != nil {
		return err // the client gets {"reason": "forbidden", …}
	}
	var ballot struct {
		Choice string `json:"choice"`
	}
	if err := m.Decode(&ballot); err != nil {
		return err // {"reason": "invalid", "field": "choice", …}
	}
	if err := v.poll.count(v.c, ballot.Choice); err != nil {
		return err
	}
	m.Reply(nil)
	return nil
}

// count counts a vote and shows it to all. It is an event of the topic's log, so clients that come back get it, too.
func (p *poll) count(c *socket.Channel, choice string) error {
	p.mu.Lock()
	defer p.mu.Unlock() // after the publishing: what everybody sees last is how it stands
	if p.votes[c.Topic()] == nil {
		p.votes[c.Topic()] = map[string]string{}
	}
	p.votes[c.Topic()][c.User()] = choice
	totals := map[string]int{}
	for _, choice := range p.votes[c.Topic()] {
		totals[choice]++
	}
	payload, _ := json.Marshal(totals) // of strings and numbers
	_, err := c.Publish(c.Topic(), hub.EventInput{Event: "votes", Payload: payload})
	return err
}

// pollRoute is the poll's line in the table of channels.
func pollRoute() socket.Route {
	return socket.Route{
		Pattern: "poll:*", Kind: &poll{votes: map[string]map[string]string{}}, Events: socket.Vocabulary{
			Commands: map[string]ratelimit.Kind{"vote": ratelimit.Events}, Sent: []string{"votes"},
		},
	}
}

// END

func TestExampleWorks(t *testing.T) {
	s := start(t, nil, pollRoute())
	a, b := s.dial("a"), s.dial("b", "poll:*=subscribe")
	a.join("poll:tea", `{}`)
	b.join("poll:tea", `{}`)
	a.ok("poll:tea", "vote", `{"choice":"green"}`)
	a.ok("poll:tea", "vote", `{"choice":"black"}`)
	for _, want := range []string{"map[green:1]", "map[black:1]"} {
		if got := fmt.Sprint(b.want("votes")); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if status, r := b.ask("poll:tea", "vote", `{"choice":"green"}`); status != "error" || r["reason"] != "forbidden" {
		t.Errorf("a vote without the right: %s %v", status, r)
	}
	if status, r := a.ask("poll:tea", "vote", `{"choice":1}`); status != "error" || r["field"] != "choice" {
		t.Errorf("a bad vote: %s %v", status, r)
	}
}

func TestExampleIsWhatTheDocumentShows(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(source), "// BEGIN\n\n")
	code, _, _ = strings.Cut(code, "\n// END\n")
	document, err := os.ReadFile("../../web/docs/channels.md")
	if err != nil {
		t.Fatal(err)
	}
	if code == "" || !strings.Contains(string(document), "```go\n"+code+"```\n") {
		t.Error("web/docs/channels.md does not show the code between BEGIN and END as it is here: copy it")
	}
}
