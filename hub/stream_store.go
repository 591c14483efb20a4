package hub

import (
	"context"
	"errors"
	"fmt"
)

// SharedStreams stores the streams of several nodes. One node owns each stream and writes it; the others read. As a
// StreamStore it stores and loads the streams that this node owns. Errors match ErrUnavailable if the store cannot be
// reached. Safe for concurrent use.
type SharedStreams interface {
	StreamStore // Save may return a *SaveError; Delete ignores streams that this node does not own
	// AddStream registers a new stream of this node under its id and its aliases, and puts it into its owner's slot
	// ("": none). taken is the id of a stream of another node that has the id, or of any that has an alias: then nothing
	// was changed. A stream of this node that the store has already is registered again. superseded is the id of the
	// stream that was in the slot, or "". The new stream takes over the aliases of the one with the id replaced; "" for
	// none.
	AddStream(rec *StreamRecord, slot, replaced string) (taken, superseded string, err error)
	// FindStream returns the stream of that id, or the one that the user started under it as an alias. ErrNotFound if
	// there is none.
	FindStream(user, id string) (*SharedStream, error)
	// FollowStream calls heard with each change that the stream's owner node saves, in order, and gap when changes may
	// have been missed; the first call is one of gap. They are called one at a time, and must not block. No call begins
	// after stop has returned.
	FollowStream(id string, heard func(*SharedStream), gap func()) (stop func())
	// ClaimStream makes this node the owner of a stream that node from owns, and returns the stream with its runs. It
	// also succeeds if this node owns the stream already: the answer to an earlier claim may have been lost. If a third
	// node owns the stream, nothing changes and Node names that node. ErrNotFound if there is no such stream.
	ClaimStream(id, from string) (*SharedStream, error)
	// StreamsOf returns an owner's streams without their runs, the newest first, at most limit.
	StreamsOf(owner string, limit int) ([]SharedStream, error)

	Nodes
}

// Nodes says which other nodes there are, and sends them requests.
type Nodes interface {
	// Node returns this node's name.
	Node() string
	// LeaseValid reports whether this node's lease certainly holds: then no other node has declared it dead. If not,
	// other nodes may take over its streams, and what it accepts for them may be lost.
	LeaseValid() bool
	// Alive reports whether a node's lease holds, as far as this node knows. If in doubt it reports true: when the
	// store cannot be reached, and for the time of one lease after the store may have lost its data.
	Alive(node string) bool
	// Others returns the other nodes that are alive, as far as this node knows.
	Others() []string
	// Ask sends a request to a node, and returns its answer. Errors match ErrUnavailable; the node may have done what
	// was asked all the same.
	Ask(ctx context.Context, node string, request []byte) ([]byte, error)
	// Tell sends a request to all other nodes, and waits for no answer. Some may not receive it.
	Tell(request []byte) error
	// Serve starts to call events. After stop has returned, none is called any longer.
	Serve(events NodeEvents) (stop func())
}

// NodeEvents are callbacks for requests and failures of other nodes. Several may be called at the same time.
type NodeEvents struct {
	// Answer answers a request of another node. It is called in a goroutine of its own.
	Answer func(from string, request []byte) []byte
	// Died says that a node has died, and which streams it owned that have not ended. If it returns false, it is called
	// again.
	Died func(node string, streams []string) bool
	// Lost says that the store may have lost data. The node must save everything again.
	Lost func()
	// Missed says that this node could not be reached, so it may have missed requests.
	Missed func()
}

// SharedStream is a stream in the shared store.
type SharedStream struct {
	Node   string       // the owner node
	Record StreamRecord // in a change: with the new runs only
}

// SaveError says which streams a Save did not save.
type SaveError struct {
	Behind map[string]uint64 // by id: the store has lost the entries after the offset, which must be saved again
	Taken  []string          // ids of streams that other nodes own now
	Err    error             // nil, or why the others were not saved: they must be saved again
}

func (e *SaveError) Error() string {
	return fmt.Sprintf("%d streams must be saved again, %d belong to other nodes now: %v",
		len(e.Behind), len(e.Taken), e.Err)
}

func (e *SaveError) Unwrap() error { return e.Err }

// errTakenOver is the cause with which a provider's context ends when another node has taken over the stream.
var errTakenOver = errors.New("another node has taken the stream, because this one could not be reached")
