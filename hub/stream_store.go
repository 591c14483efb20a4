package hub

import (
	"context"
	"errors"
	"fmt"
)

// SharedStreams keeps the streams of several nodes. Each stream belongs to the node that writes it; the others read. As
// a StreamStore it keeps and loads this node's own. Errors match ErrUnavailable where the store cannot be reached. Safe
// for concurrent use.
type SharedStreams interface {
	StreamStore // Save may return a *SaveError; Delete leaves what is not this node's
	// AddStream registers a new stream of this node's, under its id and its aliases, and puts it into the owner's slot
	// ("": none). taken is the id of the stream that has the id or an alias already: then nothing was changed.
	// superseded is the id of the one that was in the slot, or "".
	AddStream(rec *StreamRecord, slot string) (taken, superseded string, err error)
	// FindStream returns the stream of that id, or the one that the user started under it as an alias. ErrNotFound
	// where there is none.
	FindStream(user, id string) (*SharedStream, error)
	// FollowStream calls heard with each change of a stream that its node saves, in order, and gap when something may
	// have been missed, first of all when the following begins. They are called one at a time, and must not block. None
	// is called after stop has returned, but for one that runs at that moment.
	FollowStream(id string, heard func(*SharedStream), gap func()) (stop func())
	// ClaimStream makes a stream this node's that was node from's, and returns it as it is kept, with its runs. One
	// that is this node's already counts as claimed: the answer to an earlier claim may have been lost. Where another
	// node has it, that is what is returned: Node says whose it is. ErrNotFound where there is none.
	ClaimStream(id, from string) (*SharedStream, error)
	// StreamsOf returns an owner's streams without their runs, the newest first, at most limit.
	StreamsOf(owner string, limit int) ([]SharedStream, error)

	Nodes
}

// Nodes is what a node knows of the others, and how it asks them.
type Nodes interface {
	// Node returns this node's name.
	Node() string
	// LeaseValid reports whether this node can show that its own lease holds: then no other node has found it dead.
	// Where it can't, what it takes may be lost.
	LeaseValid() bool
	// Alive reports whether a node lives, as far as is known. One that cannot be asked about lives, and so does each
	// for the time of a lease after the store may have forgotten it.
	Alive(node string) bool
	// Others returns the other nodes that live, as far as is known.
	Others() []string
	// Ask sends a request to a node, and returns its answer. Errors match ErrUnavailable; the node may have done it all
	// the same.
	Ask(ctx context.Context, node string, request []byte) ([]byte, error)
	// Tell sends a request to all other nodes, and waits for no answer. It may be lost.
	Tell(request []byte) error
	// Serve begins to tell of the other nodes. Stop ends that, and returns when nothing is told any more.
	Serve(events NodeEvents) (stop func())
}

// NodeEvents are called with what other nodes ask, and what happens to them. They may be called at the same time.
type NodeEvents struct {
	Answer func(from string, request []byte) []byte // a request of another node, in a goroutine of its own
	Died   func(node string, streams []string) bool // a node has ended without ending these streams of its own; false: to be told again
	Lost   func()                                   // some or all of what the nodes share may be gone, and is to be saved again
	Missed func()                                   // requests may have been missed: this node could not be reached
}

// SharedStream is a stream as the nodes share it.
type SharedStream struct {
	Node   string       // whose it is
	Record StreamRecord // in a change: with the new runs only
}

// SaveError tells what became of some streams of a Save; the others were saved.
type SaveError struct {
	Behind map[string]uint64 // by id: the store has lost what came behind the offset, and wants it again
	Taken  []string          // belong to other nodes now
	Err    error             // of those that are neither, if there are some: they are to be saved again
}

func (e *SaveError) Error() string {
	return fmt.Sprintf("%d streams are to be sent again, %d are other nodes' now: %v", len(e.Behind), len(e.Taken), e.Err)
}

func (e *SaveError) Unwrap() error { return e.Err }

// errTakenOver is what a node's own stream ends with when another has taken it: this one was away for too long.
var errTakenOver = errors.New("another node has taken the stream, because this one could not be reached")
