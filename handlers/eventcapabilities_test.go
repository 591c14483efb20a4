package handlers_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/handlers/channels"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/rights"
)

// Columns that are not actions: no capability, and every action on other topics in addition to the right to join.
const (
	noAction  rights.Action = "no-caps"
	elsewhere rights.Action = "elsewhere"
)

const eventsFile = "testdata/eventcapabilities.txt"

// handlerTopics has a topic for each handler of a kind of channel.
var handlerTopics = map[string]string{
	"codeHandler":         "code:project:1",
	"analysisHandler":     "analysis:project:1",
	"conversationHandler": "conversation:c-1",
	"statusHandler":       "status:c-1",
	"userHandler":         "user:ada",
	"streamHandler":       "stream:{stream}",
	"publisher":           "lobby",
	"realtimeHandler":     "realtime:1",
	"yjsHandler":          "yjs:1",
}

// eventPayloads are payloads that the events accept. The default is {}.
var eventPayloads = map[string]string{
	"ack":                    `{"through":"0"}`,
	"activity":               `{"state":"idle"}`,
	"analyze":                `{"code":"x","type":"style"}`,
	"broadcast":              `{"event":"e","payload":{}}`,
	"presence":               `{"event":"track","payload":{}}`,
	"yjs":                    `{"bytes":"AAICAAA="}`,
	"yjs_sync":               `{"bytes":"AAABAA=="}`,
	"cancel":                 `{"request_id":"{stream}"}`,
	"cancel_analysis":        `{"request_id":"{stream}"}`,
	"cancel_completion":      `{"request_id":"{stream}"}`,
	"code_change":            `{"changes":[]}`,
	"complete":               `{"prefix":"x"}`,
	"cursor_position":        `{"position":{"line":1,"column":1}}`,
	"follow":                 `{"message_id":"none"}`,
	"generate":               `{"prompt":"x"}`,
	"get_status":             `{"request_id":"{stream}"}`,
	"message":                `{"content":"x"}`,
	"refactor":               `{"code":"x","type":"extract"}`,
	"request_analysis":       `{"code":"x"}`,
	"request_completion":     `{"code":"x","cursor_position":{"line":1,"column":1}}`,
	"set_context":            `{"context":{}}`,
	"set_llm_preference":     `{"provider":"p","model":"m"}`,
	"status_update":          `{"category":"tool","text":"x"}`,
	"subscribe_categories":   `{"categories":["tool"]}`,
	"typing":                 `{"typing":true}`,
	"unsubscribe_categories": `{"categories":["tool"]}`,
	"update_subscription":    `{"categories":["tool"]}`,
}

// TestEventCapabilityTable pushes every event of every kind of channel with every capability in addition to the right
// to join.
func TestEventCapabilityTable(t *testing.T) {
	s := startServer(t, analyst{scripted(hello), noIssues}, hub.Limits{}, nil)
	// the conversation's owner; capabilities decide what others may do in it
	owner := s.dialSocket(token(t, "u", "*=*"))
	owner.send(`["1","1","conversation:c-1","phx_join",{}]`)
	if got := owner.reply("1"); got != "ok" {
		t.Fatal(got)
	}
	columns := []rights.Action{
		noAction, rights.ActionSubscribe, rights.ActionPublish, rights.ActionPresence, rights.ActionComplete,
		rights.ActionProduce, rights.ActionQueue, rights.ActionAct, rights.ActionAdmin, rights.ActionAll, elsewhere,
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-20s %-24s", "topic", "event")
	for _, c := range columns {
		fmt.Fprintf(&table, " %11s", c)
	}
	for _, e := range channelEvents(t) {
		fmt.Fprintf(&table, "\n%-20s %-24s", e.topic, e.event)
		for _, c := range columns {
			answer := s.pushWith(e.topic, e.event, c)
			if strings.HasPrefix(answer, "invalid") || answer == "internal" {
				t.Errorf(
					"%s on %s with %s: the reply is %q, which tells nothing of rights: give it a payload", e.event, e.topic, c,
					answer,
				)
			}
			fmt.Fprintf(&table, " %11s", answer)
		}
	}
	table.WriteByte('\n')
	holdTable(t, eventsFile, table.String())
}

// TestVocabulariesHaveTheCommands: each kind registers exactly the commands that its source handles.
func TestVocabulariesHaveTheCommands(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	handled, registered := map[string][]string{}, map[string][]string{}
	table := channels.NewTable(s.hub, slog.New(slog.DiscardHandler), nil)
	for _, e := range channelEvents(t) {
		if e.event != "say" {
			handled[e.topic] = append(handled[e.topic], e.event)
		}
	}
	for _, topic := range handlerTopics {
		if commands := table.Routes.Find(topic).Events.Commands; commands != nil {
			registered[topic] = slices.Sorted(maps.Keys(commands))
		}
	}
	if !maps.EqualFunc(handled, registered, slices.Equal) {
		t.Errorf("handled are %v\nregistered are %v", handled, registered)
	}
}

type channelEvent struct{ topic, event string }

// channelEvents finds in the source the events with which each Handle of package channels (and the handle behind it)
// compares, so that a new event cannot be forgotten. "say" stands for all events that a kind of channel does not know.
func channelEvents(t *testing.T) []channelEvent {
	t.Helper()
	files, err := filepath.Glob("channels/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no source of the channels: ", err)
	}
	source := &eventSource{t: t, constants: map[string]string{}}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		source.files = append(source.files, file)
	}
	source.readConstants()
	var list []channelEvent
	for _, handle := range source.handles() {
		receiver := receiverName(handle)
		topic, ok := handlerTopics[receiver]
		if !ok {
			t.Errorf("%s has a Handle, and no topic in handlerTopics: nobody has said who may push to it", receiver)
			continue
		}
		for _, event := range append(source.events(handle), "say") {
			list = append(list, channelEvent{topic, event})
		}
	}
	slices.SortFunc(list, func(a, b channelEvent) int { return strings.Compare(a.topic+" "+a.event, b.topic+" "+b.event) })
	return slices.Compact(list)
}

// eventSource is the source of package channels.
type eventSource struct {
	t         *testing.T
	files     []*ast.File
	constants map[string]string
}

func (s *eventSource) readConstants() {
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				for i, value := range spec.Values {
					if lit, ok := value.(*ast.BasicLit); ok && lit.Kind == gotoken.STRING {
						s.constants[spec.Names[i].Name], _ = strconv.Unquote(lit.Value)
					}
				}
			}
			return true
		})
	}
}

func (s *eventSource) handles() (list []*ast.FuncDecl) {
	for _, file := range s.files {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && strings.EqualFold(f.Name.Name, "Handle") {
				list = append(list, f)
			}
		}
	}
	return list
}

func receiverName(f *ast.FuncDecl) string {
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	return of.(*ast.Ident).Name
}

// events lists what a function compares with m.Event, by switch or by ==.
func (s *eventSource) events(f *ast.FuncDecl) (list []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SwitchStmt:
			if isEvent(n.Tag) {
				for _, clause := range n.Body.List {
					for _, e := range clause.(*ast.CaseClause).List {
						list = append(list, s.text(e))
					}
				}
			}
		case *ast.BinaryExpr:
			if n.Op == gotoken.EQL && isEvent(n.X) {
				list = append(list, s.text(n.Y))
			}
		}
		return true
	})
	return list
}

func isEvent(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Event"
}

// text returns the value of a literal or of a constant.
func (s *eventSource) text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.Ident:
		if text, ok := s.constants[e.Name]; ok {
			return text
		}
	}
	s.t.Errorf("an event is compared with what this test cannot read: %#v", e)
	return ""
}

// pushWith joins the topic and pushes the event as a user who may join and do a. It returns the result of the reply:
// "ok", the reason, "no-join", or "refused" if the reason is a sentence of the channel. {stream} stands for a stream of
// another user, which is new for each push; its rights are the topic's.
func (s *testServer) pushWith(topic, event string, a rights.Action) string {
	s.t.Helper()
	payload := cmp.Or(eventPayloads[event], "{}")
	body := `{}`
	if topic != "stream:{stream}" {
		body = fmt.Sprintf(`{"topic":%q}`, topic)
	}
	if strings.Contains(topic+payload, "{stream}") {
		stream := call[streamJSON](s, 201, "POST", "/v1/streams", body).ID
		topic, payload = strings.Replace(topic, "{stream}", stream, 1), strings.Replace(payload, "{stream}", stream, 1)
	}
	caps := []string{topic + "=subscribe," + string(a)}
	switch a {
	case noAction:
		caps = nil
	case rights.ActionSubscribe:
		caps = []string{topic + "=subscribe"}
	case elsewhere:
		caps = []string{topic + "=subscribe", "t:2=*", "user:bob=*"}
	}
	c := s.dialSocket(token(s.t, "guest", caps...))
	defer c.conn.CloseNow()
	join := "{}"
	if strings.HasPrefix(topic, "realtime:") { // otherwise it is a plain channel
		join = `{"config":{"broadcast":{"ack":true}}}`
	}
	c.send(`["1","1",%q,"phx_join",%s]`, topic, join)
	if c.reply("1") != "ok" {
		return "no-join"
	}
	c.send(`["1","2",%q,%q,%s]`, topic, event, payload)
	return c.reply("2")
}

// reply reads until the reply to ref, and returns "ok" or the reason of the error, as pushWith does.
func (c *wsClient) reply(ref string) string {
	c.t.Helper()
	for {
		var frame []json.RawMessage
		text := c.next()
		if text != "" && text[0] < ' ' { // a binary frame, which is no reply to a push in text
			continue
		}
		if json.Unmarshal([]byte(text), &frame) != nil || len(frame) != 5 {
			c.t.Fatalf("no frame: %s", text)
		}
		if string(frame[3]) != `"phx_reply"` || string(frame[1]) != strconv.Quote(ref) {
			continue
		}
		var reply struct {
			Status   string
			Response struct{ Reason string }
		}
		if err := json.Unmarshal(frame[4], &reply); err != nil {
			c.t.Fatal(err)
		}
		if reply.Status == "ok" {
			return "ok"
		}
		if strings.Contains(reply.Response.Reason, " ") {
			return "refused"
		}
		return reply.Response.Reason
	}
}
