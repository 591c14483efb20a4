package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/r3labs/sse/v2"
	"gopkg.in/cenkalti/backoff.v1"
)

// connection is one request of a follower.
type connection struct {
	follower *follower
	stop     context.CancelFunc
	patience atomic.Int64 // nanoseconds of silence after which the connection is dead
	body     *watchedBody
	greeted  bool   // hello came
	lastID   string // the library repeats the last id in blocks that have none
	bye      error  // a *byeError: the server ended it, and wants us back
	result   error  // of handle, once it has ended the following
}

// run makes the request and reads it to its end.
func (c *connection) run(ctx context.Context) error {
	ctx, c.stop = context.WithCancel(ctx)
	defer c.stop()
	c.expectBeat(10)
	auth, err := c.follower.client.authorization()
	if err != nil {
		return err
	}
	lib := sse.NewClient(c.url(), sse.ClientMaxBufferSize(maxBlock+1024))
	lib.Connection = c.follower.client.http
	lib.ReconnectStrategy = &backoff.StopBackOff{} // one request; the follower decides about the next
	lib.ResponseValidator = c.validate
	if auth != "" {
		lib.Headers["Authorization"] = auth
	}
	return lib.SubscribeRawWithContext(ctx, c.take)
}

func (c *connection) url() string {
	query := url.Values{}
	for k, v := range c.follower.query {
		query[k] = v
	}
	if c.follower.cursor != "" {
		query.Set("after", c.follower.cursor)
	}
	u := c.follower.client.base + c.follower.path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return u
}

var errNotSSE = errors.New("the answer is no event stream")

// validate looks at the head of the answer. It closes the body where it returns an error, because the library does not.
func (c *connection) validate(_ *sse.Client, resp *http.Response) (err error) {
	defer func() {
		if err != nil {
			resp.Body.Close()
		}
	}()
	switch kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); {
	case resp.StatusCode == http.StatusNoContent:
		return errOver
	case resp.StatusCode >= 400:
		return readError(resp)
	case resp.StatusCode != http.StatusOK || kind != "text/event-stream":
		return fmt.Errorf("%w, but %d %q; is DUCKWIRE_URL right?", errNotSSE, resp.StatusCode, kind)
	}
	c.body = newWatchedBody(resp.Body, &c.patience, c.stop)
	resp.Body = struct {
		io.Reader
		io.Closer
	}{newWholeBlocks(c.body, maxBlock), c.body}
	return nil
}

// take handles one block from the library.
func (c *connection) take(ev *sse.Event) {
	if c.result != nil || c.bye != nil || len(ev.Data) == 0 {
		return
	}
	b := block{name: string(ev.Event), data: ev.Data}
	if !json.Valid(b.data) { // published so by someone: it counts for the position, and says nothing to us
		b.data, _ = json.Marshal(string(ev.Data))
	}
	switch b.name {
	case blockHello:
		c.hello(b.data)
		return
	case blockBye:
		c.goodbye(b.data, ev.Retry)
		return
	case blockReset:
		c.reset(b.data)
	}
	c.follower.retry.success()
	if err := c.follower.handle(b); err != nil {
		c.result = err
		c.stop()
	}
	if id := string(ev.ID); id != c.lastID { // after handle: a block counts once it is done with
		c.follower.cursor, c.lastID = id, id
	}
}

// hello takes the heartbeat's period, and the place where a reader without a position began: its next attempt must not begin elsewhere.
func (c *connection) hello(data []byte) {
	var hello struct {
		Position string
		HB       float64
	}
	_ = json.Unmarshal(data, &hello)
	if c.follower.cursor == "" {
		c.follower.cursor = hello.Position
	}
	if hello.HB >= 1 {
		c.expectBeat(hello.HB)
	}
	c.greeted = true
}

// expectBeat says that a heartbeat comes every hb seconds; 2.5 times that without a byte is death (protocol/sse.md 10).
func (c *connection) expectBeat(hb float64) {
	c.patience.Store(int64(2.5 * hb * float64(time.Second)))
	if c.body != nil {
		c.body.alive()
	}
}

// goodbye notes when to come back.
func (c *connection) goodbye(data, retry []byte) {
	bye := &byeError{}
	_ = json.Unmarshal(data, bye)
	ms, _ := strconv.Atoi(string(retry))
	bye.retry = min(time.Duration(max(ms, 0))*time.Millisecond, 30*time.Second)
	c.bye = bye
	c.stop()
}

// reset moves the position to where the server goes on.
func (c *connection) reset(data []byte) {
	var reset struct{ From string }
	_ = json.Unmarshal(data, &reset)
	if reset.From != "" && !c.follower.many {
		c.follower.cursor = reset.From
	}
}
