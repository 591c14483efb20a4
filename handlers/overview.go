package handlers

import (
	"fmt"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware/auth"
)

// overviewView is the answer to GET /v1/overview: the server's state at one moment.
type overviewView struct {
	Time     string       `json:"time"`
	LogBytes int64        `json:"log_bytes"`
	Topics   topicsView   `json:"topics"`
	Sessions sessionsView `json:"sessions"`
	Queues   queuesView   `json:"queues"`

	Upstreams []upstreamLine `json:"upstreams"` // as this node sees them
}

type topicsView struct {
	Total int         `json:"total"`
	List  []topicLine `json:"list"`
}

type topicLine struct {
	Topic   string `json:"topic"`
	Readers int    `json:"readers"`
	Events  int    `json:"events"`
	Bytes   int64  `json:"bytes"`
	Present int    `json:"present"`
	Used    string `json:"used"`
}

type sessionsView struct {
	Total       int            `json:"total"`
	Users       int            `json:"users"`
	ByTransport map[string]int `json:"by_transport"`
	List        []userLine     `json:"list"`
}

type userLine struct {
	User        string         `json:"user"`
	Total       int            `json:"total"`
	ByTransport map[string]int `json:"by_transport"`
	Since       string         `json:"since"`
}

type queuesView struct {
	Users    int         `json:"users"`
	Messages int         `json:"messages"`
	Bytes    int64       `json:"bytes"`
	List     []queueLine `json:"list"`
}

type queueLine struct {
	User     string `json:"user"`
	Messages int    `json:"messages"`
	Bytes    int64  `json:"bytes"`
	Oldest   string `json:"oldest"`
}

type upstreamLine struct {
	Name     string   `json:"name"`
	Host     string   `json:"host"`
	Dialect  string   `json:"dialect"`
	Models   []string `json:"models"`
	Healthy  bool     `json:"healthy"`
	Failures int      `json:"failures"`
	Reason   string   `json:"reason,omitempty"`
	Since    string   `json:"since,omitempty"`
	Learned  []string `json:"learned"`
}

// overview answers GET /v1/overview, for admins of all topics.
func (s *server) overview(w http.ResponseWriter, r *http.Request) error {
	if !auth.IdentityFrom(r.Context()).Caps.Admin() {
		return fmt.Errorf(`only a token with "admin" on "*" may see everyone's: %w`, errs.ErrForbidden)
	}
	limit, err := intParam(r.URL.Query(), "limit", 100, 0, 1000)
	if err != nil {
		return err
	}
	queues, totals, err := s.hub.QueueSummaries(limit)
	if err != nil {
		return err
	}
	o := s.hub.Overview(limit)
	v := overviewView{
		Time: wireTime(time.Now()), LogBytes: o.LogBytes,
		Topics: viewTopics(o.Topics, o.AllTopics), Sessions: viewSessions(o.Sessions, o.Users, o.By),
		Upstreams: viewUpstreams(s.hub.Upstreams()),
		Queues: queuesView{
			Users: totals.Users, Messages: totals.Messages, Bytes: totals.Bytes, List: make([]queueLine, len(queues)),
		},
	}
	for i, q := range queues {
		v.Queues.List[i] = queueLine{q.User, q.Messages, q.Bytes, wireTime(q.Oldest)}
	}
	writeJSON(w, http.StatusOK, v)
	return nil
}

func viewTopics(list []hub.TopicSummary, total int) topicsView {
	v := topicsView{Total: total, List: make([]topicLine, len(list))}
	for i, t := range list {
		v.List[i] = topicLine{t.Name, t.Readers, t.Events, t.Bytes, t.Present, wireTime(t.Used)}
	}
	return v
}

func viewSessions(list []hub.UserSessions, users int, by [hub.Transports]int) sessionsView {
	v := sessionsView{Users: users, ByTransport: map[string]int{}, List: make([]userLine, len(list))}
	for via, n := range by { // transports without sessions are included
		v.ByTransport[hub.Transport(via).String()] = n
		v.Total += n
	}
	for i, u := range list {
		v.List[i] = userLine{u.User, u.Total, map[string]int{}, wireTime(u.Since)}
		for via, n := range u.By {
			if n > 0 {
				v.List[i].ByTransport[hub.Transport(via).String()] = n
			}
		}
	}
	return v
}

func viewUpstreams(list []hub.UpstreamStatus) []upstreamLine {
	v := make([]upstreamLine, len(list))
	for i, u := range list {
		v[i] = upstreamLine{
			Name: u.Name, Host: u.Host, Dialect: u.Dialect, Models: append([]string{}, u.Models...), Healthy: u.Healthy,
			Failures: u.Failures, Reason: u.Reason, Learned: append([]string{}, u.Learned...),
		}
		if !u.Since.IsZero() {
			v[i].Since = wireTime(u.Since)
		}
	}
	return v
}
