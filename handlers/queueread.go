package handlers

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// queueView is a page of a queue. Position is where the next page begins. Expired is how many messages nobody read in time, as long as nobody has
// acknowledged ExpiredThrough.
type queueView struct {
	Messages       []json.RawMessage `json:"messages"`
	Expired        int               `json:"expired"`
	ExpiredThrough string            `json:"expired_through,omitempty"`
	Position       string            `json:"position"`
	Reset          *resetView        `json:"reset,omitempty"`
}

// maxMessages is the most that ?limit= may ask for.
const maxMessages = 1000

// readQueue answers with what waits behind a position, at most ?limit= messages, and with ?wait= waits for the first, or for news of expiry.
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

// queuePage is what one answer tells of a queue.
type queuePage struct {
	reader  *hub.QueueReader
	limit   int
	known   uint64 // what expired up to here is no news to the client: it was told with that position
	items   []log.Item
	expired *hub.Expired
}

// read reads what there is, and reports whether it is anything to answer with.
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

// followQueue sends what waits behind the client's position (nothing given: all), then what comes.
func (s *server) followQueue(w http.ResponseWriter, r *http.Request, user string) error {
	from, err := queueFrom(r)
	if err != nil {
		return err
	}
	opts, err := s.parseLive(r.URL.Query())
	if err != nil {
		return err
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
	position := reader.Start().String()
	hello := sse.Greeting{Position: position, Recovered: reset == nil, Now: time.Now(), Heartbeat: opts.hb, ID: position}
	f := &queueFeed{reader: reader, first: appendGreeting(mediaSSE, opts.pad, &hello, reset)}
	s.startLive(w, mediaSSE)
	s.finishPump(pump.run(r.Context(), f))
	return nil
}

// queueFeed is a user's queue as blocks without names, whose data is the message.
type queueFeed struct {
	reader *hub.QueueReader
	first  []byte
	items  []log.Item
}

func (f *queueFeed) next(dst []byte) ([]byte, chunk, bool) {
	var expired *hub.Expired
	f.items, expired = f.reader.Read(f.items[:0])
	if len(f.items) == 1 && f.first == nil && expired == nil {
		return dst, f.block(&f.items[0]), false
	}
	if f.first != nil {
		dst, f.first = append(dst, f.first...), nil
	}
	if expired != nil { // without an id, like a reset: a position does not say that it is known
		dst = sse.AppendBlock(dst, hub.ExpiredEvent, expired.AppendJSON(nil), "")
	}
	for i := range f.items {
		dst = append(dst, f.block(&f.items[i]).body()...)
	}
	return dst, nil, false
}

func (f *queueFeed) block(item *log.Item) chunk {
	return encodedBlock(item, "", f.reader.Epoch())
}

func (f *queueFeed) heartbeat(dst []byte, now time.Time) []byte { return sse.AppendHeartbeat(dst, now) }

func (f *queueFeed) bye(dst []byte, reason string, retry time.Duration) []byte {
	return sse.AppendBye(dst, reason, retry)
}
