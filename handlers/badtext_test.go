package handlers_test

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestHalfAnEmojiAtEveryDoor: whatever door a payload comes through, readers get U+FFFD instead of half an emoji. A name
// with it is refused.
func TestHalfAnEmojiAtEveryDoor(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	const half, whole = `{"\ud83d":["\ude00","\ud83d\ude00"]}`, `{"\ufffd":["\ufffd","\ud83d\ude00"]}`
	read := func(path string) string {
		resp := s.do("GET", path, "")
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	c := s.dialSocket(token(t, "u", "*=*"))
	for i, publish := range []func(topic string){
		func(topic string) {
			s.expect(200, "POST", "/v1/topics/"+topic+"/events", `{"event":"e","payload":`+half+`}`)
		},
		func(topic string) { c.send(`["1","2",%q,"e",%s]`, topic, half) },
	} {
		topic := fmt.Sprint("half:", i)
		c.send(`["1","1",%q,"phx_join",{"x":"\ud83d"}]`, topic)
		c.want(`["1","1",%q,"phx_reply",{"status":"ok","response":{}}]`, topic)
		publish(topic)
		for f := c.next(); !strings.HasPrefix(f, `[null,`); f = c.next() {
			if !strings.Contains(f, `"status":"ok"`) {
				t.Fatal(f)
			}
		}
		if got := read("/v1/topics/" + topic + "/events?after=0"); !strings.Contains(got, `"payload":`+whole) {
			t.Errorf("%s: %s", topic, got)
		}
	}
	s.expect(201, "POST", "/v1/users/u/messages", `{"event":"e","payload":`+half+`}`)
	if got := read("/v1/users/u/messages"); !strings.Contains(got, `"payload":`+whole) {
		t.Errorf("the queue: %s", got)
	}
	s.expect(201, "POST", "/v1/streams", `{"id":"s1"}`)
	s.expect(200, "POST", "/v1/streams/s1/append", `{"event":"e","data":`+half+`}`, ndjson, "Stream-Closed: true")
	resp := s.do("GET", "/v1/streams/s1?after=0", "", "Accept: application/x-ndjson")
	raw, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(raw), strings.Trim(whole, "{}")) {
		t.Errorf("the stream: %s, %v", raw, err)
	}
	s.stream("GET", "/v1/topics/half:1/events?presence="+url.QueryEscape(half), "").want("hello")
	hubtest.Until(t, "the presence", func() bool {
		got := read("/v1/topics/half:1/presence")
		return strings.Contains(got, strings.Trim(whole, "{}"))
	})

	s.expect(400, "POST", "/v1/topics/half:1/events", `{"event":"e\ud83d"}`)
	s.expect(400, "POST", "/v1/topics/half:%EF%BF%BD/events", `{"event":"e"}`)
	c.send(`["1","3","half:1","e\ud83d",{}]`)
	if f := c.next(); !strings.HasPrefix(f, `["1","3","half:1","phx_reply",{"status":"error"`) {
		t.Error(f)
	}
}

// TestServersEventsAtEveryDoor: what a channel sends itself is also refused over HTTP, in a batch by its index. On other
// topics the names are free.
func TestServersEventsAtEveryDoor(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	const protocol = "phx_reply presence_state presence_diff chan_reply_1 access_token"
	for topic, names := range map[string]string{
		"code:project:1":     "completion_chunk completion_done code_updated cursor_update analysis_update",
		"code:x":             "completion_started refactor_complete generation_error",
		"analysis:project:1": "analysis_started analysis_update analysis_complete file_analyzed",
		"conversation:c1":    "message response response_chunk error typing processing_cancelled status_update",
		"user:u":             "message messages_expired stream_result",
		"stream:s1":          "chunk end",
		"status:c1":          "",
		"room:1":             "",
	} {
		path := "/v1/topics/" + topic + "/events"
		for _, name := range strings.Fields(names + " " + protocol) {
			p := call[problem](s, 400, "POST", path, `{"event":"`+name+`"}`)
			if p.Code != "invalid" || p.Field != "event" || !strings.Contains(p.Detail, "another name") &&
				!strings.Contains(p.Detail, "choose another") {
				t.Errorf("%s on %s: %+v", name, topic, p)
			}
			p = call[problem](s, 400, "POST", path, `[{"event":"e"},{"event":"`+name+`"}]`)
			if p.Field != "events[1].event" {
				t.Errorf("%s on %s in a batch: %+v", name, topic, p)
			}
		}
		if h := call[historyJSON](s, 200, "GET", path+"?after=0", ""); len(h.Events) != 0 {
			t.Errorf("%s has %v", topic, h.Events)
		}
		s.expect(200, "POST", path, `{"event":"task_created"}`)
	}
	s.expect(200, "POST", "/v1/topics/room:1/events", `{"event":"completion_chunk"}`)
	s.expect(200, "POST", "/v1/topics/status:c1/events", `{"event":"status_update"}`)
}

// TestServersMessagesInQueues: a client cannot leave what only the server reports.
func TestServersMessagesInQueues(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	c := s.dialSocket(token(t, "bob", "*=*"))
	c.send(`["1","1","room:1","phx_join",{}]`)
	c.next()
	for _, name := range []string{"stream_result", "messages_expired"} {
		for path, body := range map[string]string{
			"/v1/users/u/messages":     `{"event":%q}`,
			"/v1/topics/room:1/events": `{"event":%q,"durable":true,"to":["u"]}`,
		} {
			if p := call[problem](s, 400, "POST", path, fmt.Sprintf(body, name)); p.Field != "event" {
				t.Errorf("%s at %s: %+v", name, path, p)
			}
		}
		c.send(`["1","2","room:1",%q,{"_duckwire":{"durable":true,"to":["u"]}}]`, name)
		if f := c.next(); !strings.Contains(f, `"reason":"invalid"`) || !strings.Contains(f, `"field":"event"`) {
			t.Errorf("%s on a socket: %s", name, f)
		}
	}
	s.expect(201, "POST", "/v1/streams", `{"id":"s1","topic":"room:1"}`)
	for _, name := range []string{"presence_diff", "phx_close", "access_token"} { // would act on sockets that follow it
		s.expect(400, "POST", "/v1/streams/s1/append", `{"event":"`+name+`"}`, ndjson)
	}
}

// TestLargeMessageOverHTTP: a message that is too large is refused on the socket of a long-poll, and those around it in
// its POST are received. The same body is far below what a POST may have.
func TestLargeMessageOverHTTP(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	app := "token=" + token(t, "u", "*=*")
	session := app + "&token=" + url.QueryEscape(s.poll("GET", app, "").Token)
	large := strings.Repeat("x", 9<<20) // above body_bytes, too
	post := s.poll("POST", session, `["1","1","room:1","phx_join",{}]`+"\n"+`["1","2","room:1","e","`+large+`"]`+"\n"+
		`["1","3","room:1","e",{}]`)
	if post.Status != 200 {
		t.Fatalf("%+v", post)
	}
	var messages []string
	for end := time.Now().Add(hubtest.Hung); len(messages) < 4 && time.Now().Before(end); {
		a := s.poll("GET", session, "")
		messages = append(messages, a.Messages...)
		session = app + "&token=" + url.QueryEscape(a.Token)
	}
	all := strings.Join(messages, "\n")
	for _, want := range []string{
		`["1","1","room:1","phx_reply",{"status":"ok","response":{}}]`,
		`["1","2","room:1","phx_reply",{"status":"error","response":{"reason":"too_large","detail":"payload in bytes (message_bytes)`,
		`"limit":1048576`, `["1","3","room:1","phx_reply",{"status":"ok"`, `[null,null,"room:1","e",{}]`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is missing in %.2000s", want, all)
		}
	}
}
