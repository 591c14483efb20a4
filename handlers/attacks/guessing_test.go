package attacks_test

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// told returns an answer without the parts that differ in each.
func told(answer, id string) string {
	answer = regexp.MustCompile(`"request_id":"[^"]*"`).ReplaceAllString(answer, "")
	return strings.ReplaceAll(answer, id, "ID")
}

// TestGuessingStreams: a stream that a user may not read is answered like one that does not exist, by every method.
func TestGuessingStreams(t *testing.T) {
	s := start(t)
	ada := bearer(t, "ada")
	s.want(201, "POST", "/v1/streams", `{"id":"hers"}`, ada)
	s.want(201, "POST", "/v1/streams", `{"id":"on-topic","topic":"private:1"}`, ada)
	s.want(200, "POST", "/v1/streams/hers/append", "secret text", ada, "Content-Type: text/plain")
	eve := "Authorization: Bearer " + token(t, "eve", "public:*=*")
	for _, taken := range []string{"hers", "on-topic"} {
		for _, c := range []struct{ method, path, body, accept string }{
			{"GET", "", "", "application/json"},
			{"GET", "?after=0&wait=1", "", "application/json"},
			{"GET", "", "", "text/event-stream"},
			{"GET", "", "", "text/plain"},
			{"GET", "", "", "application/x-ndjson"},
			{"DELETE", "", "", "*/*"},
			{"POST", "/append", "x", "*/*"},
			{"PUT", "/append", "x", "*/*"},
		} {
			try := func(id string) (int, string) {
				path := "/v1/streams/" + id + c.path
				status, answer, _ := s.do(c.method, path, c.body, eve, "Accept: "+c.accept, "Content-Type: text/plain")
				return status, told(answer, id)
			}
			status, answer := try(taken)
			freeStatus, free := try("nothing")
			if status != 404 || status != freeStatus || answer != free {
				t.Errorf("%s %s%s: %d %s\nand of an id that is not taken: %d %s",
					c.method, taken, c.path, status, answer, freeStatus, free)
			}
		}
		c := s.socket(token(t, "eve", "public:*=*"), "public:1")
		reply := push(t, c, `["2","2","stream:`+taken+`","phx_join",{}]`)
		free := push(t, c, `["2","2","stream:nothing","phx_join",{}]`)
		if !strings.Contains(reply, `"status":"error"`) || told(reply, taken) != told(free, "nothing") {
			t.Errorf("a join of its channel: %s\nand where there is none: %s", reply, free)
		}
	}
	list := s.want(200, "GET", "/v1/streams", "", eve)
	if strings.Contains(list, "hers") || strings.Contains(list, "on-topic") {
		t.Errorf("eve's list: %s", list)
	}
	state := s.want(200, "GET", "/v1/streams/hers", "", ada)
	if !strings.Contains(state, `"status":"running"`) || !strings.Contains(state, `"secret text"`) {
		t.Errorf("ada's stream: %.300s", state)
	}
}

// TestPositionsAreNoRights: a position of one topic gives readers of another topic access to nothing of the first, and
// is not taken for a position in the second.
func TestPositionsAreNoRights(t *testing.T) {
	s := start(t)
	ada := bearer(t, "ada")
	eve := "Authorization: Bearer " + token(t, "eve", "public:1=subscribe")
	s.want(200, "POST", "/v1/topics/private:1/events", `[{"event":"secret"},{"event":"secret"}]`, ada)
	s.want(200, "POST", "/v1/topics/public:1/events", `[{"event":"a"},{"event":"b"},{"event":"c"}]`, ada)
	var history struct {
		Events []struct{ Position string }
		Reset  *struct{ Reason string }
	}
	private := s.want(200, "GET", "/v1/topics/private:1/events", "", ada)
	if err := json.Unmarshal([]byte(private), &history); err != nil || len(history.Events) != 2 {
		t.Fatalf("%+v, %v", history, err)
	}
	position := history.Events[0].Position
	after := "?after=" + url.QueryEscape(position)
	s.want(403, "GET", "/v1/topics/private:1/events"+after, "", eve)
	s.want(403, "GET", "/v1/events?topic=private:1&topic=public:1", "", eve,
		"Accept: text/event-stream", "Last-Event-ID: "+position)
	answer := s.want(200, "GET", "/v1/topics/public:1/events"+after, "", eve)
	if err := json.Unmarshal([]byte(answer), &history); err != nil || strings.Contains(answer, "secret") ||
		len(history.Events) != 3 || history.Reset == nil || history.Reset.Reason != "epoch" {
		t.Errorf("the position in another topic: %s", answer)
	}
	live := s.open("GET", "/v1/topics/public:1/events", "", eve, "Accept: text/event-stream", "Last-Event-ID: "+position)
	var reset bool
	for _, b := range blocks(t, live.Body, `"event":"c"`) {
		reset = reset || b.event == "reset"
		if strings.Contains(b.data, "secret") {
			t.Errorf("%+v", b)
		}
	}
	if !reset {
		t.Error("a position of another topic is resumed from without a word")
	}
	c := s.socket(token(t, "eve", "public:1=subscribe"), "public:1")
	for topic, want := range map[string]string{"private:1": `"reason":"forbidden"`, "public:1": `"recovered":false`} {
		if reply := push(t, c, `["2","2","`+topic+`","phx_join",{"after":"`+position+`"}]`); !strings.Contains(reply, want) {
			t.Errorf("a join of %s with it: %s", topic, reply)
		}
	}
}
