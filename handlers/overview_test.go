package handlers_test

import (
	"fmt"
	"maps"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

type overviewJSON struct {
	LogBytes int64 `json:"log_bytes"`
	Topics   struct {
		Total int
		List  []struct {
			Topic                    string
			Readers, Events, Present int
			Bytes                    int64
			Used                     time.Time
		}
	}
	Sessions struct {
		Total, Users int
		ByTransport  map[string]int `json:"by_transport"`
		List         []struct {
			User        string
			Total       int
			ByTransport map[string]int `json:"by_transport"`
			Since       time.Time
		}
	}
	Queues struct {
		Users, Messages, Bytes int
		List                   []struct {
			User            string
			Messages, Bytes int
			Oldest          time.Time
		}
	}
}

// TestOverview opens everything that the overview shows, checks that it is shown, closes it, and checks that it is not
// shown any more.
func TestOverview(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	root := as(t, "root", "*=admin")
	look := func(query string) overviewJSON {
		return call[overviewJSON](s, 200, "GET", "/v1/overview"+query, "", root)
	}
	s.expect(403, "GET", "/v1/overview", "", as(t, "ada", "code:*=*", "user:*=admin"))
	s.expect(401, "GET", "/v1/overview", "", "Authorization: Bearer no")
	s.expect(400, "GET", "/v1/overview?limit=1001", "", root)
	none := map[string]int{"websocket": 0, "sse_socket": 0, "longpoll": 0, "sse": 0, "ndjson": 0, "text": 0, "wait": 0}
	if v := look(""); v.Sessions.Total != 0 || !maps.Equal(v.Sessions.ByTransport, none) || v.Queues.Messages != 0 {
		t.Errorf("of an empty server: %+v", v)
	}

	ada := token(t, "ada", "*=*")
	call[streamJSON](s, 201, "POST", "/v1/streams", `{"id":"s"}`, "Authorization: Bearer "+ada)
	socket := s.dialSocket(ada)
	socket.send(`["1","1","code:project:1","phx_join",{}]`)
	socket.next()
	// of the user u
	raw := []net.Conn{s.dial("/v1/streams/s?format=text"), s.dial("/v1/streams/s?format=ndjson"), s.dial("/v1/streams/s")}
	s.stream("GET", "/socket/sse?vsn=2.0.0", "", "Authorization: Bearer "+ada)
	s.poll("GET", "token="+token(t, "eve", "*=*"), "")
	for user, n := range map[string]int{"ada": 1, "bob": 3, "eve": 2} {
		for i := range n {
			s.leave(user, i)
		}
	}
	for i := range 3 {
		s.expect(200, "POST", "/v1/topics/code:project:1/events", fmt.Sprintf(`{"event":"e","payload":%d}`, i), root)
	}

	// nobody has waited for the answers to u
	hubtest.Until(t, "six sessions", func() bool { return look("").Sessions.Total == 6 })
	v := look("?limit=2")
	want := map[string]int{"websocket": 1, "sse_socket": 1, "longpoll": 1, "sse": 1, "ndjson": 1, "text": 1, "wait": 0}
	if v.Sessions.Total != 6 || v.Sessions.Users != 3 || !maps.Equal(v.Sessions.ByTransport, want) ||
		len(v.Sessions.List) != 2 {
		t.Errorf("sessions: %+v", v.Sessions)
	}
	for i, want := range []map[string]int{{"sse": 1, "ndjson": 1, "text": 1}, {"websocket": 1, "sse_socket": 1}} {
		if u := v.Sessions.List[i]; u.User != []string{"u", "ada"}[i] || !maps.Equal(u.ByTransport, want) ||
			time.Since(u.Since) > time.Hour {
			t.Errorf("%+v, want %v", u, want)
		}
	}
	if q := v.Queues; q.Users != 3 || q.Messages != 6 || q.Bytes != 6 || len(q.List) != 2 || q.List[0].User != "bob" ||
		q.List[0].Messages != 3 || q.List[1].User != "eve" || time.Since(q.List[0].Oldest) > time.Hour {
		t.Errorf("queues: %+v", q)
	}
	if v.LogBytes == 0 || v.Topics.Total == 0 || v.Topics.List[0].Topic != "code:project:1" ||
		v.Topics.List[0].Readers != 1 || v.Topics.List[0].Events != 3 || v.Topics.List[0].Bytes == 0 ||
		v.Topics.List[0].Present != 1 {
		t.Errorf("topics: %+v", v.Topics)
	}

	socket.conn.CloseNow()
	for _, conn := range raw {
		conn.Close()
	}
	hubtest.Until(t, "all to be gone but those that wait for their clients", func() bool {
		left := look("").Sessions
		return left.Total == 2 && left.ByTransport["sse_socket"] == 1 && left.ByTransport["longpoll"] == 1
	})
}

// pooled is a provider with upstreams.
type pooled struct{ scripted }

func (pooled) Upstreams() []hub.UpstreamStatus {
	return []hub.UpstreamStatus{
		{Name: "a", Host: "h:1", Dialect: "auto", Healthy: true, Learned: []string{"no usage"}},
		{Name: "b", Host: "h:2", Models: []string{"x*"}, Failures: 3, Reason: "refused", Since: time.Unix(1, 0)},
	}
}

func TestOverviewOfUpstreams(t *testing.T) {
	type line struct {
		Name, Host, Dialect, Reason, Since string
		Models, Learned                    []string
		Healthy                            bool
		Failures                           int
	}
	root := as(t, "root", "*=admin")
	s := startServer(t, pooled{}, hub.Limits{}, nil)
	got := call[struct{ Upstreams []line }](s, 200, "GET", "/v1/overview", "", root).Upstreams
	want := []line{
		{Name: "a", Host: "h:1", Dialect: "auto", Models: []string{}, Learned: []string{"no usage"}, Healthy: true},
		{
			Name: "b", Host: "h:2", Models: []string{"x*"}, Learned: []string{}, Failures: 3, Reason: "refused",
			Since: "1970-01-01T00:00:01.000Z",
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}
