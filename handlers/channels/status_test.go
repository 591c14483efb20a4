package channels_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/duckwire/duckwire/hub"
)

const progress = "status:c-1"

func TestStatusOfAConversation(t *testing.T) {
	model := newAnswering()
	s := start(t, model.provider())
	c := s.dial("u", chatCaps...)
	c.join(chat, `{}`)
	joined, _ := json.Marshal(c.join(progress, `{}`))
	const categories = `["engine","tool","workflow","progress","error","info","planning"]`
	if got := string(joined); got != `{"available_categories":`+categories+
		`,"conversation_id":"c-1","subscribed_categories":[]}` {
		t.Errorf("joined: %s", got)
	}
	r := c.ok(progress, "subscribe_categories", `{"categories":["engine","progress"]}`)
	if fmt.Sprint(r["subscribed"]) != "[engine progress]" {
		t.Errorf("subscribed: %v", r)
	}
	asked := c.ok(chat, "message", `{"content":"x"}`)
	model.say("y")
	for _, want := range []string{
		"engine: Processing started", "progress: The answer has begun", "engine: Processing completed",
	} {
		u := c.update(progress)
		if fmt.Sprintf("%s: %s", u["category"], u["text"]) != want || u["timestamp"] == nil ||
			u["metadata"].(map[string]any)["stream"] != asked["stream"] {
			t.Errorf("got %v, want %s", u, want)
		}
	}
	c.ok(progress, "update_subscription", `{"categories":["error"]}`)
	c.ok(chat, "message", `{"content":"x"}`)
	(<-model.asked).fail <- fmt.Errorf("broken")
	if u := c.update(progress); u["category"] != "error" || u["text"] != "broken" {
		t.Errorf("got %v", u)
	}
}

// update returns the next status_update on a topic.
func (c *client) update(topic string) map[string]any {
	c.t.Helper()
	for {
		if m := c.untilMessage("status_update"); m.Topic == topic {
			return object(c.t, m.Payload)
		}
	}
}

func TestStatusIsFiltered(t *testing.T) {
	s := start(t, nil)
	owner := s.dial("u", chatCaps...)
	owner.join(chat, `{}`)
	owner.join(progress, `{}`)
	tell := func(category, text string) {
		t.Helper()
		payload, _ := json.Marshal(map[string]string{"category": category, "text": text})
		update := []hub.EventInput{{Event: "status_update", Payload: payload}}
		if _, err := s.hub.Publish(progress, "engine", update); err != nil {
			t.Fatal(err)
		}
	}
	tell("engine", "before anything is subscribed")
	owner.ok(progress, "subscribe_categories", `{"categories":["tool","warning"]}`)
	tell("engine", "not subscribed")
	tell("tool", "one")
	tell("warning", "two")
	tell("made up", "nobody can subscribe it")
	owner.send(progress, "status_update", `{"category":"tool","text":"three","metadata":{"n":1}}`)
	for _, want := range []string{"one", "two", "three"} {
		if u := owner.update(progress); u["text"] != want || u["timestamp"] == nil || u["metadata"] == nil {
			t.Errorf("got %v, want %s", u, want)
		}
	}
	owner.ok(progress, "unsubscribe_categories", `{"categories":["tool"]}`)
	tell("tool", "no longer subscribed")
	tell("warning", "four")
	if u := owner.update(progress); u["text"] != "four" {
		t.Errorf("got %v", u)
	}
	if r := owner.ok(progress, "update_subscription", `{"categories":[]}`); len(r["subscribed_categories"].([]any)) != 8 {
		t.Errorf("all: %v", r)
	}
	if r := owner.ok(progress, "get_subscriptions", `{}`); len(r["available_categories"].([]any)) != 7 ||
		len(r["subscribed_categories"].([]any)) != 8 {
		t.Errorf("subscriptions: %v", r)
	}
	if r := owner.ok(progress, "get_available_categories", `{}`); len(r["descriptions"].(map[string]any)) != 7 {
		t.Errorf("categories: %v", r)
	}
}

func TestStatusBringsWhatWasMissed(t *testing.T) {
	s := start(t, nil)
	c := s.dial("u", chatCaps...)
	c.join(chat, `{}`)
	position := c.join(progress, `{"after":"now"}`)["position"]
	for i, category := range []string{"tool", "info", "tool"} {
		payload := fmt.Appendf(nil, `{"category":%q,"text":"%d"}`, category, i)
		update := []hub.EventInput{{Event: "status_update", Payload: payload}}
		if _, err := s.hub.Publish(progress, "engine", update); err != nil {
			t.Fatal(err)
		}
	}
	again := s.dial("u", chatCaps...)
	if joined := again.join(
		progress, fmt.Sprintf(`{"after":%q,"categories":["tool"]}`, position),
	); joined["recovered"] != true ||
		fmt.Sprint(joined["subscribed_categories"]) != "[tool]" {
		t.Errorf("joined: %v", joined)
	}
	for _, want := range []string{"0", "2"} {
		if u := again.update(progress); u["text"] != want {
			t.Errorf("got %v, want %s", u, want)
		}
	}
}

func TestStatusRefuses(t *testing.T) {
	s := start(t, nil)
	owner := s.dial("u", chatCaps...)
	owner.join(chat, `{}`)
	owner.join(progress, `{}`)
	const valid = `"valid":["engine","tool","workflow","progress","error","info","planning"]`
	for _, tt := range []struct{ event, payload, response string }{
		{
			"subscribe_categories", `{"categories":["tool","x",3]}`,
			`{"invalid":["x",3],"reason":"invalid_categories",` + valid + `}`,
		},
		{
			"subscribe_categories", `{"categories":"tool"}`,
			`{"invalid":"categories must be a list","reason":"invalid_categories",` + valid + `}`,
		},
		{"subscribe_categories", `[]`, `{"invalid":"categories must be a list","reason":"invalid_categories",` + valid + `}`},
		{"unsubscribe_categories", `{"categories":["x"]}`, `{"invalid":["x"],"reason":"invalid_categories"}`},
		{
			"subscribe_categories",
			`{"categories":["tool","tool","tool","tool","tool","tool","tool","tool","tool","tool","tool"]}`,
			`{"current_count":11,"message":"at most 10 categories may be named","reason":"too_many_categories"}`,
		},
		{"status_update", `{"category":"x","text":"y"}`, `{"invalid":["x"],"reason":"invalid_categories",` + valid + `}`},
		{
			"status_update", `{"category":"tool","text":"y","metadata":3}`,
			`{"detail":"metadata: must be an object","field":"metadata","reason":"invalid"}`,
		},
	} {
		status, r := owner.ask(progress, tt.event, tt.payload)
		if got, _ := json.Marshal(r); status != "error" || string(got) != tt.response {
			t.Errorf("%s %s: %s %s", tt.event, tt.payload, status, got)
		}
	}
	limited := 0
	for range 31 {
		if status, r := owner.ask(progress, "subscribe_categories", `{"categories":["tool"]}`); status == "error" &&
			r["reason"] == "rate_limit_exceeded" {
			limited++
		}
	}
	if limited < 5 {
		t.Errorf("%d of 36 changes were refused", limited)
	}
	for user, c := range map[string]string{"b": "status:*=subscribe", "c": "conversation:*=*"} {
		if status, r := s.dial(user, c).ask(progress, "phx_join", `{}`); status != "error" || r["reason"] != "unauthorized" {
			t.Errorf("%s: %s %v", user, status, r)
		}
	}
	guest := s.dial("b", progress+"=subscribe")
	guest.join(progress, `{}`)
	if status, r := guest.ask(progress, "status_update", `{"category":"tool","text":"y"}`); status != "error" ||
		r["reason"] != "forbidden" {
		t.Errorf("publishing without the right: %s %v", status, r)
	}
}

func TestStatusPresence(t *testing.T) {
	s := start(t, nil)
	c := s.dial("u", chatCaps...)
	c.presences = true
	c.join(chat, `{}`)
	c.join(progress, `{}`)
	state := c.untilEvent("presence_state")
	if state["u"] == nil {
		t.Errorf("the state is %v", state)
	}
	c.ok(progress, "subscribe_categories", `{"categories":["tool"]}`)
	for {
		diff := c.untilEvent("presence_diff")
		joins, _ := diff["joins"].(map[string]any)
		user, _ := joins["u"].(map[string]any)
		metas, _ := user["metas"].([]any)
		if len(metas) != 1 {
			continue
		}
		meta := metas[0].(map[string]any)
		if fmt.Sprint(meta["subscribed_categories"]) == "[tool]" {
			if meta["conversation_id"] != "c-1" || meta["online_at"] == nil {
				t.Errorf("the meta is %v", meta)
			}
			return
		}
	}
}
