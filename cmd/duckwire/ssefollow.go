package main

import (
	"bufio"
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

// maxBlock is the longest block that a client takes: well above the largest event or piece of text that a server sends in one.
const maxBlock = 8 << 20

// Names of blocks (protocol/sse.md 2.5).
const (
	blockHello = "hello"
	blockEnd   = "end"
	blockReset = "reset"
	blockBye   = "bye"
	blockChunk = "chunk"
)

// block is one block of an event stream.
type block struct {
	name string
	data json.RawMessage
}

// errDone is returned by a follower's handler when it has seen all it wants.
var errDone = errors.New("done")

// byeError is the server's end of a connection that it wants back (protocol/sse.md 5.4 to 5.6, 6.4).
type byeError struct {
	Reason string
	retry  time.Duration
}

func (e *byeError) Error() string { return "the server closes: " + e.Reason }

// errOver is the server's 204: a stream that ended, and was read to its end.
var errOver = errors.New("the stream is over")

// follower reads an event stream across cuts, restarts and drains of the server: it keeps the position and asks for what follows it
// (protocol/sse.md sections 4, 5 and 10). It wraps the SSE client library, which by itself would give up at the first clean end, retry
// refusals, and mistake half a block for a whole one.
type follower struct {
	client *client
	path   string     // "/v1/streams/ID"
	query  url.Values // without after
	cursor string     // the position after the last block that was handled; "" for where the server begins
	many   bool       // several topics: a reset tells of one of them, and the cursor is of all
	// handle takes each block but hello and bye. errDone ends the following, any other error too, with that error.
	handle func(block) error
	retry  *retrier
}

// run follows until handle is done, the stream is over (errOver), something does not heal, or ctx ends.
func (f *follower) run(ctx context.Context) error {
	for {
		conn := &connection{follower: f}
		err := conn.run(ctx)
		switch {
		case conn.result != nil:
			return doneIsNil(conn.result)
		case ctx.Err() != nil:
			return context.Canceled
		case conn.bye != nil:
			err = conn.bye
		case errors.Is(err, bufio.ErrTooLong):
			return fmt.Errorf("the server sent a block of more than %s", Size(maxBlock))
		case err == nil || !isRefusal(err):
			err = f.client.noAnswer(firstError(err, io.ErrUnexpectedEOF))
		}
		if err := f.retry.after(ctx, err); err != nil {
			return err
		}
	}
}

func doneIsNil(err error) error {
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// isRefusal reports whether err is an answer of the server, and not a failure to get one.
func isRefusal(err error) bool {
	var api *apiError
	return errors.As(err, &api) || errors.Is(err, errOver) || errors.Is(err, errNotSSE)
}

// connection is one request of a follower.
type connection struct {
	follower *follower
	stop     context.CancelFunc
	patience atomic.Int64 // nanoseconds of silence after which the connection is dead
	lastID   string       // the library repeats the last id in blocks that have none
	bye      error        // a *byeError: the server ended it, and wants us back
	result   error        // of handle, once it has ended the following
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
	body := newWatchedBody(resp.Body, &c.patience, c.stop)
	resp.Body = struct {
		io.Reader
		io.Closer
	}{newWholeBlocks(body, maxBlock), body}
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
	c.follower.retry.contact()
}

// expectBeat says that a heartbeat comes every hb seconds; 2.5 times that without a byte is death (protocol/sse.md 10).
func (c *connection) expectBeat(hb float64) { c.patience.Store(int64(2.5 * hb * float64(time.Second))) }

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

// watchedBody is a body that ends its request after a silence.
type watchedBody struct {
	io.ReadCloser
	patience *atomic.Int64
	timer    *time.Timer
}

func newWatchedBody(body io.ReadCloser, patience *atomic.Int64, dead func()) *watchedBody {
	return &watchedBody{body, patience, time.AfterFunc(time.Duration(patience.Load()), dead)}
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		b.timer.Reset(time.Duration(b.patience.Load()))
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.timer.Stop()
	return b.ReadCloser.Close()
}
