package sseclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
	"github.com/duckwire/duckwire/hub/eventstream"
)

// connection is one request of a follower.
type connection struct {
	follower *Follower
	patience atomic.Int64 // nanoseconds of silence after which the connection is dead
	body     *watchedBody
	greeted  bool   // hello has arrived
	lastID   string // the last id: a block without an id keeps it
	bye      error  // a *client.ByeError, once the server has sent bye
	result   error  // the first error of Handle
}

// run sends the request, and reads its answer until bye or result is set, or until an error.
func (c *connection) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c.expectBeat(10)
	resp, err := c.ask(ctx)
	if err != nil {
		return err
	}
	c.body = newWatchedBody(resp.Body, &c.patience, stop)
	defer c.body.Close()
	for events := eventstream.NewReader(c.body, MaxBlock); c.result == nil && c.bye == nil; {
		ev, err := events.Next()
		if err != nil {
			return err
		}
		c.take(ev, events.Retry())
	}
	return nil
}

// ask sends the request. The answer is an event stream, whose body the caller must close.
func (c *connection) ask(ctx context.Context) (*http.Response, error) {
	req, err := c.follower.Client.Request(ctx, http.MethodGet, c.path(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Cache-Control", "no-cache")
	resp, err := c.follower.Client.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	if err := refused(resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// path returns the path and query of the request, which asks for what follows the position.
func (c *connection) path() string {
	query := url.Values{}
	for k, v := range c.follower.Query {
		query[k] = v
	}
	if c.follower.Cursor != "" {
		query.Set("after", c.follower.Cursor)
	}
	if len(query) == 0 {
		return c.follower.Path
	}
	return c.follower.Path + "?" + query.Encode()
}

var errNotSSE = errors.New("the answer is no event stream")

// refused returns the error for an answer that is not an event stream, or nil.
func refused(resp *http.Response) error {
	switch kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); {
	case resp.StatusCode == http.StatusNoContent:
		return errOver
	case resp.StatusCode >= 400:
		return client.ReadError(resp)
	case resp.StatusCode != http.StatusOK || kind != "text/event-stream":
		return fmt.Errorf("%w, but %d %q; is DUCKWIRE_URL right?", errNotSSE, resp.StatusCode, kind)
	}
	return nil
}

// take handles one block. retry is the most recent wait that the server asked for.
func (c *connection) take(ev eventstream.Event, retry time.Duration) {
	if len(ev.Data) == 0 {
		return
	}
	b := Block{Name: ev.Type, Data: ev.Data}
	if !json.Valid(b.Data) { // a publisher's text: it moves the position and is otherwise ignored
		b.Data, _ = json.Marshal(string(ev.Data))
	}
	switch b.Name {
	case blockHello:
		c.hello(b.Data)
		return
	case blockBye:
		c.goodbye(b.Data, retry)
		return
	case BlockReset:
		c.reset(b.Data)
	}
	c.follower.Retry.Success()
	if err := c.follower.Handle(b); err != nil {
		c.result = err
	}
	if ev.ID != c.lastID { // after handle: the position may only pass a block that was handled
		c.follower.Cursor, c.lastID = ev.ID, ev.ID
	}
}

// hello reads the heartbeat's interval, and the position at which a reader without one began, because its next attempt
// must begin there.
func (c *connection) hello(data []byte) {
	var hello struct {
		Position string
		HB       float64
	}
	_ = json.Unmarshal(data, &hello)
	if c.follower.Cursor == "" {
		c.follower.Cursor = hello.Position
	}
	if hello.HB >= 1 {
		c.expectBeat(hello.HB)
	}
	c.greeted = true
}

// expectBeat sets the interval of heartbeats, in seconds. After 2.5 intervals without a byte the connection is
// considered dead.
func (c *connection) expectBeat(hb float64) {
	c.patience.Store(int64(2.5 * hb * float64(time.Second)))
	if c.body != nil {
		c.body.alive()
	}
}

// soonest bounds the wait after a drain. The server's own time is for EventSources, which end at the first status but
// 200 and must not come back before a restart is over; this client repeats what failed.
const soonest = 5 * time.Second

// goodbye records how long to wait before the next request.
func (c *connection) goodbye(data []byte, retry time.Duration) {
	bye := &client.ByeError{}
	_ = json.Unmarshal(data, bye)
	bye.Retry = min(retry, 30*time.Second)
	if bye.Reason == "drain" {
		bye.Retry = min(retry, 200*time.Millisecond+rand.N(soonest))
	}
	c.bye = bye
}

// reset moves the position to the one where the server continues.
func (c *connection) reset(data []byte) {
	var reset struct{ From string }
	_ = json.Unmarshal(data, &reset)
	if reset.From != "" && !c.follower.Many {
		c.follower.Cursor = reset.From
	}
}
