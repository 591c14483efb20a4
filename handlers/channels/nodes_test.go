package channels_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

// node is one of several servers on a Redis, from which it can be cut off.
type node struct {
	*server
	line redistest.Line
}

var nodes atomic.Int64

func startNode(t testing.TB, url string, provider hub.Provider) *node {
	t.Helper()
	n := &node{}
	store, err := redis.Open(redis.Options{
		URL: url, Node: fmt.Sprint("n", nodes.Add(1)), Logger: slog.New(slog.DiscardHandler), Timeout: 2 * time.Second,
		Lease: 600 * time.Millisecond, Dial: n.line.Dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	n.server = serve(
		t, hub.Options{Provider: provider, Streams: store, Topics: store, Presences: store, Queue: store}, store,
	)
	return n
}

// TestConversationOverNodes: members, history and running answers of a conversation are the same on all nodes.
func TestConversationOverNodes(t *testing.T) {
	model := newAnswering()
	url := "redis://" + miniredis.RunT(t).Addr()
	var nodes [3]*node
	for i := range nodes {
		nodes[i] = startNode(t, url, model.provider())
	}
	a, b, c := nodes[0], nodes[1], nodes[2]
	ada, bob, cleo := a.dial("u", chatCaps...), b.dial("u", chatCaps...), c.dial("u", chatCaps...)
	if joined := ada.join(chat, `{"title":"Ducks"}`); joined["created"] != true {
		t.Errorf("the first joined %v", joined)
	}
	if joined := bob.join(chat, `{"title":"Geese"}`); joined["created"] != false || joined["title"] != "Ducks" {
		t.Errorf("the second joined %v", joined)
	}
	bob.ok(chat, "set_context", `{"context":{"language":"go"}}`)
	ada.event(chat, "context_updated")

	first := ada.ok(chat, "message", `{"content":"one"}`)
	p := <-model.asked
	if !strings.Contains(p.messages(), `{"language":"go"}`) {
		t.Errorf("the model was asked\n%s", p.messages())
	}
	p.pieces <- "ON"
	ada.event(chat, "response_chunk")
	bob.event(chat, "context_updated")
	if q := bob.event(chat, "message"); q["message_id"] != first["message_id"] || q["content"] != "one" {
		t.Errorf("the question is heard as %v", q)
	}
	if joined := cleo.join(chat, `{}`); fmt.Sprint(joined["running"]) != fmt.Sprintf(
		"map[message_id:%s stream:%s]", first["message_id"], first["stream"],
	) {
		t.Errorf("the third joined %v", joined)
	}

	second := bob.ok(chat, "message", `{"content":"two"}`)
	wait(t, p.gone, "the first completion's end, on its node")
	for _, one := range []*client{ada, bob, cleo} {
		ended := one.event(chat, "processing_cancelled")
		if ended["message_id"] != first["message_id"] || ended["superseded_by"] != second["message_id"] {
			t.Errorf("the first ended with %v", ended)
		}
	}
	q := model.say("TWO")
	if !strings.HasSuffix(q.messages(), "user: one\nassistant: ON\nuser: two") {
		t.Errorf("the model was asked\n%s", q.messages())
	}
	for _, one := range []*client{ada, bob, cleo} {
		if one != bob {
			one.event(chat, "message")
		}
		if r := one.event(chat, "response"); r["message_id"] != second["message_id"] || r["response"] != "TWO" {
			t.Errorf("the second ended with %v", r)
		}
		one.ok(chat, "get_history", `{}`)
		if got := one.event(chat, "history"); contents(got) != "one ON two TWO" {
			t.Errorf("the history is %v", got)
		}
	}

	third := cleo.ok(chat, "message", `{"content":"three"}`)
	p = <-model.asked
	ada.event(chat, "message")
	if r := ada.ok(chat, "cancel_processing", `{}`); r["tasks_cancelled"] != 1.0 {
		t.Errorf("cancelled on another node: %v", r)
	}
	wait(t, p.gone, "the third completion's end, on its node")
	if ended := cleo.event(chat, "processing_cancelled"); ended["message_id"] != third["message_id"] ||
		ended["reason"] != "cancelled" {
		t.Errorf("the third ended with %v", ended)
	}
	if joined := bob.join("conversation:lobby", `{}`); joined["conversation_id"] != "c-1" {
		t.Errorf("the latest conversation is %v", joined)
	}
}

// TestConversationsOfOthersOverNodes: every node knows a conversation's owner, even if nobody is in it there.
func TestConversationsOfOthersOverNodes(t *testing.T) {
	url := "redis://" + miniredis.RunT(t).Addr()
	a, b := startNode(t, url, says("x")), startNode(t, url, says("x"))
	ada, eve := a.dial("ada", chatCaps...), b.dial("eve", chatCaps...)
	ada.join(chat, `{}`)
	for _, topic := range []string{chat, "status:c-1"} {
		if status, r := eve.ask(topic, "phx_join", `{}`); status != "error" || r["reason"] != "unauthorized" {
			t.Errorf("%s: another user gets %s %v", topic, status, r)
		}
	}
}

// TestNodeDiesWithAnAnswer: if a node dies during an answer, another node reports the end, once.
func TestNodeDiesWithAnAnswer(t *testing.T) {
	model := newAnswering()
	url := redistest.Start(t).URL()
	var nodes [3]*node
	for i := range nodes {
		nodes[i] = startNode(t, url, model.provider())
	}
	a, b, c := nodes[0], nodes[1], nodes[2]
	ada, bob, cleo := a.dial("u", chatCaps...), b.dial("u", chatCaps...), c.dial("u", chatCaps...)
	for _, one := range []*client{ada, bob, cleo} {
		one.join(chat, `{}`)
	}
	asked := ada.ok(chat, "message", `{"content":"one"}`)
	p := <-model.asked
	p.pieces <- "ON"
	bob.event(chat, "message")
	follow := bob.ok(chat, "follow", fmt.Sprintf(`{"message_id":%q}`, asked["message_id"]))
	if follow["stream"] != asked["stream"] {
		t.Errorf("followed on another node: %v", follow)
	}
	bob.event(chat, "response_chunk") // so the answer has been stored
	a.line.Cut()
	cleo.event(chat, "message")
	for _, one := range []*client{bob, cleo} {
		if ended := one.event(chat, "error"); ended["message_id"] != asked["message_id"] ||
			ended["stream"] != asked["stream"] {
			t.Errorf("the answer ended with %v", ended)
		}
	}
	second := cleo.ok(chat, "message", `{"content":"two"}`)
	if q := model.say("TWO"); q.messages() != "user: one\nassistant: ON\nuser: two" {
		t.Errorf("the model was asked\n%s", q.messages())
	}
	if q := bob.event(chat, "message"); q["message_id"] != second["message_id"] { // nothing is reported twice
		t.Errorf("then came %v", q)
	}
	for _, one := range []*client{bob, cleo} {
		if r := one.event(chat, "response"); r["message_id"] != second["message_id"] {
			t.Errorf("the second ended with %v", r)
		}
	}
}
