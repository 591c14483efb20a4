package handlers_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
)

// TestWherePositionsAreRead: on every path that resumes, a position is read from the header, from lastEventId in every
// spelling that clients use, and from after, in this order.
func TestWherePositionsAreRead(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	for _, path := range []struct {
		name, url string
		at        func(n int) string // the position after the n-th of three events
	}{
		{"a topic", eventsPath, s.topicPositions(eventsPath)},
		{"several topics", "/v1/events?topic=code:project:42", s.manyPositions("/v1/events?topic=code:project:42")},
		{"a stream", "/v1/streams/lint", s.streamPositions("lint")},
		{"a queue", "/v1/users/me/messages", s.queuePositions()},
	} {
		t.Run(path.name, func(t *testing.T) {
			for _, c := range []struct {
				query, header string // %[1]s, %[2]s: the positions after the first and after the second event
				from          int
			}{
				{"after=%[1]s", "", 1},
				{"lastEventId=%[1]s", "", 1},
				{"after=%[1]s&lastEventId=%[2]s", "", 2},
				{"lastEventId=%[2]s&after=%[1]s", "", 2},
				{"lastEventId=%[1]s&lastEventId=%[2]s", "", 2},
				{"after=%[2]s&lastEventId=", "", 2},
				{"after=%[1]s&lastEventId=%[1]s", "%[2]s", 2},
				{"lastEventId=%[2]s", "", 2},
			} {
				positions := strings.NewReplacer("%[1]s", url.QueryEscape(path.at(1)), "%[2]s", url.QueryEscape(path.at(2)))
				fill := positions.Replace
				header := ""
				if c.header != "" {
					header = "Last-Event-ID: " + fill(c.header)
				}
				r := s.stream("GET", withQuery(path.url, fill(c.query)), "", header)
				hello := parse[struct{ Recovered bool }](t, r.want("hello"))
				next, _ := r.next()
				if want := fmt.Sprintf("event %d", c.from+1); !hello.Recovered || !strings.Contains(next.data, want) {
					t.Errorf("?%s, header %q: %+v, then %+v, want %s", c.query, c.header, hello, next, want)
				}
				r.resp.Body.Close()
			}
		})
	}
}

// TestSpellingsOfLastEventID: servers and clients disagree on the parameter's name.
func TestSpellingsOfLastEventID(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	at := s.topicPositions(eventsPath)
	for _, name := range []string{"lastEventId", "lastEventID", "Last-Event-ID", "Last-Event-Id", "last_event_id"} {
		req := s.request("GET", eventsPath+"?"+name+"="+at(1), "", "Accept: text/event-stream")
		resp, err := s.plain.Do(req) // openapi.yaml lists one spelling
		if err != nil {
			t.Fatal(err)
		}
		r := &sseReader{t: t, resp: resp, lines: bufio.NewReader(resp.Body)}
		r.want("hello")
		if b := r.want("x"); !strings.Contains(b.data, "event 2") {
			t.Errorf("?%s: %+v", name, b)
		}
		resp.Body.Close()
	}
}

// TestUnreadablePositionsAreRefused: the error names the place of the position.
func TestUnreadablePositionsAreRefused(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	s.streamPositions("lint")
	for _, path := range []string{
		eventsPath, "/v1/events?topic=code:project:42", "/v1/streams/lint", "/v1/users/me/messages",
		"/v1/streams/lint?format=ndjson", "/v1/streams/lint?format=json",
		"/socket/sse?vsn=2.0.0&token=" + token(t, "u", "*=*"),
	} {
		for _, c := range []struct{ query, header, field string }{
			{"after=no position", "", "?after"},
			{"lastEventId=no position", "", "?lastEventId"},
			{"lastEventId=no position&after=0", "", "?lastEventId"},
			{"lastEventId=0&after=0", "Last-Event-ID: no position", "Last-Event-ID"},
		} {
			url := withQuery(path, strings.ReplaceAll(c.query, " ", "%20"))
			got := call[problem](s, http.StatusBadRequest, "GET", url, "", "Accept: text/event-stream", c.header)
			if got.Field != c.field || got.Code != "invalid" {
				t.Errorf("%s: %+v, want the field %s", url, got, c.field)
			}
		}
	}
}

// TestSocketOfAnotherSession: an EventSource that comes back with the number of a frame, but without the session's
// token, is not told that it missed nothing.
func TestSocketOfAnotherSession(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	path := "/socket/sse?vsn=2.0.0&token=" + token(t, "u", "*=*")
	for query, want := range map[string]bool{"": true, "&lastEventId=7": false, "&after=7": false} {
		hello := parse[struct {
			Recovered bool
			Frame     int
		}](t, s.stream("GET", path+query, "", "Authorization: ").want("hello"))
		if hello.Recovered != want || hello.Frame != 0 {
			t.Errorf("%q: %+v, want recovered %v at frame 0", query, hello, want)
		}
	}
}

func withQuery(path, query string) string {
	if strings.Contains(path, "?") {
		return path + "&" + query
	}
	return path + "?" + query
}

// topicPositions publishes three events and returns the position after the n-th.
func (s *testServer) topicPositions(path string) func(n int) string {
	out := call[publishedJSON](s, 200, "POST", path,
		`[{"event":"x","payload":"event 1"},{"event":"x","payload":"event 2"},{"event":"x","payload":"event 3"}]`)
	return func(n int) string { return *out.Events[n-1].Position }
}

// manyPositions returns the position in a topic with three events as an id of GET /v1/events.
func (s *testServer) manyPositions(path string) func(n int) string {
	r := s.stream("GET", path+"&after=0", "")
	defer r.resp.Body.Close()
	r.want("hello")
	ids := []string{r.want("x").id, r.want("x").id}
	return func(n int) string { return ids[n-1] }
}

// streamPositions makes a stream with three events and returns the position after the n-th.
func (s *testServer) streamPositions(id string) func(n int) string {
	call[streamJSON](s, http.StatusCreated, "POST", "/v1/streams", fmt.Sprintf(`{"id":%q,"kind":"analysis"}`, id))
	resp := s.do("POST", "/v1/streams/"+id+"/append", `{"event":"x","data":"event 1"}
{"event":"x","data":"event 2"}
{"event":"x","data":"event 3"}
`, "Content-Type: application/x-ndjson")
	resp.Body.Close()
	r := s.stream("GET", "/v1/streams/"+id, "")
	defer r.resp.Body.Close()
	r.want("hello")
	ids := []string{r.want("x").id, r.want("x").id}
	return func(n int) string { return ids[n-1] }
}

// queuePositions leaves three messages for the caller and returns the position of the n-th.
func (s *testServer) queuePositions() func(n int) string {
	call[any](s, http.StatusCreated, "POST", "/v1/users/u/messages",
		`[{"event":"x","payload":"event 1"},{"event":"x","payload":"event 2"},{"event":"x","payload":"event 3"}]`)
	page := call[struct{ Messages []envelope }](s, 200, "GET", "/v1/users/me/messages", "")
	return func(n int) string { return page.Messages[n-1].Position }
}
