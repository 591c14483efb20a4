package handlers

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/handlers/live"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// queueView is a page of a queue. Position is where the next page begins. Expired counts messages that expired unread,
// until somebody acknowledges ExpiredThrough.
type queueView struct {
	Messages       []json.RawMessage `json:"messages"`
	Expired        int               `json:"expired"`
	ExpiredThrough string            `json:"expired_through,omitempty"`
	Position       string            `json:"position"`
	Reset          *resetView        `json:"reset,omitempty"`
}

// maxMessages is the maximum of ?limit=.
const maxMessages = 1000

// readQueue answers with the messages after a position, at most ?limit=. With ?wait= it waits for the first message, or
// for newly expired ones.
func (s *server) readQueue(w http.ResponseWriter, r *http.Request, user string) error {
	q := r.URL.Query()
	from, err := queueFrom(r)
	if err != nil {
		return err
	}
	limit, err := intParam(q, "limit", 100, 1, maxMessages)
	if err != nil {
		return err
	}
	wait, err := intParam(q, "wait", 0, 0, maxWait)
	if err != nil {
		return err
	}
	wake := log.NewWake()
	defer s.hub.OnDrain(wake)()
	reader, reset, err := s.hub.ReadQueue(user, from, wake)
	if err != nil {
		return err
	}
	defer reader.Close()
	page := queuePage{reader: reader, limit: limit}
	if reset == nil {
		page.known = from.Offset
	}
	if err := s.await(r, wake, time.Duration(wait)*time.Second, page.read); err != nil {
		return err
	}
	view := page.view()
	view.Reset = viewReset(reset)
	writeJSON(w, http.StatusOK, view)
	return nil
}

// queuePage is the content of one answer.
type queuePage struct {
	reader  *hub.QueueReader
	limit   int
	known   uint64 // the client's position: it was told of messages that expired before it
	items   []log.Item
	expired *hub.Expired
}

// read reads the available messages, and reports whether there is anything to answer with.
func (p *queuePage) read() bool {
	for len(p.items) < p.limit {
		had := len(p.items)
		var expired *hub.Expired
		if p.items, expired = p.reader.ReadUpTo(p.items, p.limit-had); expired != nil {
			p.expired = expired
		}
		if len(p.items) == had {
			break
		}
	}
	return len(p.items) > 0 || p.expired != nil && p.expired.Through.Offset > p.known
}

func (p *queuePage) view() *queueView {
	v := &queueView{Messages: make([]json.RawMessage, len(p.items)), Position: p.reader.Position().String()}
	for i := range p.items {
		v.Messages[i] = p.items[i].Event.Data
	}
	if p.expired != nil {
		v.Expired, v.ExpiredThrough = p.expired.Count, p.expired.Through.String()
	}
	return v
}

// followQueue sends the messages after the client's position (by default all), then new ones.
func (s *server) followQueue(w http.ResponseWriter, r *http.Request, user string) error {
	from, err := queueFrom(r)
	if err != nil {
		return err
	}
	opts, err := s.parseLive(r.URL.Query())
	if err != nil {
		return err
	}
	if isHead(r) {
		live.Start(w, live.MediaSSE)
		return nil
	}
	pump, done, err := s.newPump(w, r, hub.ViaSSE, opts)
	if err != nil {
		return err
	}
	defer done()
	reader, reset, err := s.hub.ReadQueue(user, from, pump)
	if err != nil {
		return err
	}
	defer reader.Close()
	live.Start(w, live.MediaSSE)
	finishPump(pump.Run(r.Context(), live.Queue(reader, opts, reset)))
	return nil
}
