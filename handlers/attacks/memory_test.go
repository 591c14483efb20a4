package attacks_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// TestFillingMemory: a client that fills many topics has other topics evicted if nobody reads them, and readers that
// come back to those are told. Topics with readers keep everything. When nothing can be evicted, publishers are refused
// with the limit's name.
func TestFillingMemory(t *testing.T) {
	s := start(t, "LOG_MEMORY=4MiB", "HISTORY_BYTES=1MiB", "EVENTS_PER_SECOND=0")
	ada, eve := bearer(t, "ada"), bearer(t, "eve")
	s.want(200, "POST", "/v1/topics/hers/events", `{"event":"e","payload":"hers"}`, ada)
	var page struct{ Position string }
	if err := json.Unmarshal([]byte(s.want(200, "GET", "/v1/topics/hers/events", "", ada)), &page); err != nil {
		t.Fatal(err)
	}
	s.want(201, "POST", "/v1/streams", `{"id":"s"}`, ada)
	live := s.open("GET", "/v1/topics/read/events", "", ada, "Accept: text/event-stream")
	s.want(200, "POST", "/v1/topics/read/events", `{"event":"first"}`, ada)
	body := fmt.Sprintf(`{"event":"e","payload":%q}`, strings.Repeat("x", 500<<10))
	for n := range 40 {
		s.want(200, "POST", fmt.Sprintf("/v1/topics/eve:%d/events", n), body, eve)
	}
	var after struct {
		Reset *struct{ Reason string }
	}
	raw := s.want(200, "GET", "/v1/topics/hers/events?after="+url.QueryEscape(page.Position), "", ada)
	if err := json.Unmarshal([]byte(raw), &after); err != nil || after.Reset == nil || after.Reset.Reason != "epoch" {
		t.Errorf("an evicted topic: %s", raw)
	}
	s.want(200, "POST", "/v1/topics/read/events", `{"event":"second","payload":"the last"}`, ada)
	for _, b := range blocks(t, live.Body, "the last") {
		if b.event != "hello" && b.event != "first" && b.event != "second" {
			t.Errorf("a topic that is read: %+v", b)
		}
	}
	var refusal string
	for n := 0; refusal == "" && n < 20; n++ { // topics that are read, so that nothing can be evicted
		topic := fmt.Sprintf("/v1/topics/kept:%d/events", n)
		s.open("GET", topic, "", eve, "Accept: text/event-stream")
		if status, answer, _ := s.do("POST", topic, body, eve); status == 429 {
			refusal = answer
		}
	}
	s.want(429, "POST", "/v1/streams/s/append", "text", ada, "Content-Type: text/plain")
	if !strings.Contains(refusal, "log_memory") || !strings.Contains(refusal, `"retry_after"`) {
		t.Errorf("when nothing can be evicted: %q", refusal)
	}
}
