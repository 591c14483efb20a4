// Package sseclient reads a server's event streams, and resumes after cuts and restarts (openapi.yaml, "Resuming").
package sseclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
	"github.com/duckwire/duckwire/hub/eventstream"
)

// MaxBlock is the maximum size of a block in bytes. It is well above the largest event or piece of text that a server
// sends in one block.
const MaxBlock = 8 << 20

// Names of blocks. Their data is the schema of that name in openapi.yaml.
const (
	blockHello = "hello"
	BlockEnd   = "end"
	BlockReset = "reset"
	blockBye   = "bye"
	BlockChunk = "chunk"
)

// Block is one block of an event stream.
type Block struct {
	Name string
	Data json.RawMessage
}

// ErrDone is returned by a follower's handler that needs no more blocks.
var ErrDone = errors.New("done")

// errOver stands for the server's 204: the stream has ended, and the position is at its end.
var errOver = errors.New("the stream is over")

// Follower reads an event stream across cuts, restarts and drains of the server: it keeps the position and requests
// what follows it.
type Follower struct {
	Client *client.Client
	Path   string     // "/v1/streams/ID"
	Query  url.Values // without after
	Cursor string     // the position after the last block that was handled; "": the server chooses
	Many   bool       // several topics: a reset is about one of them, and the cursor covers all
	// Handle is called with each block but hello and bye. If it returns ErrDone, Run returns nil; if it returns another
	// error, Run returns that error.
	Handle func(Block) error
	Retry  *client.Retrier
}

// Run reads until Handle returns an error, the stream is over (errOver), an error occurs that no retry can mend, or ctx
// ends.
func (f *Follower) Run(ctx context.Context) error {
	for {
		conn := &connection{follower: f}
		err := conn.run(ctx)
		if conn.greeted { // the patience begins now, no matter how long the server was silent
			f.Retry.Contact()
		}
		switch {
		case errors.Is(conn.result, ErrDone):
			return nil
		case conn.result != nil:
			return conn.result
		case ctx.Err() != nil:
			return context.Canceled
		case conn.bye != nil:
			err = conn.bye
		case errors.As(err, new(*eventstream.TooLongError)):
			return fmt.Errorf("the server sent a block of more than %dMiB", MaxBlock>>20)
		case err == io.EOF: // a response may only end with bye
			err = f.Client.NoAnswer(io.ErrUnexpectedEOF)
		case !isRefusal(err):
			err = f.Client.NoAnswer(err)
		}
		if err := f.Retry.After(ctx, err); err != nil {
			return err
		}
	}
}

// isRefusal reports whether err is an answer of the server, in contrast to a failure to get one.
func isRefusal(err error) bool {
	var api *client.APIError
	return errors.As(err, &api) || errors.Is(err, errOver) || errors.Is(err, errNotSSE)
}
