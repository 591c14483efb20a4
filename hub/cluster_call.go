package hub

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/lock"
)

// What nodes ask of each other are calls by name. A request is the name and a body, an answer a body or a fault; what a
// body holds is between who asks and who answers. Nodes carries both as bytes, once encoded, and bounds them.

// callTimeout is how long a node may take to answer.
const callTimeout = 5 * time.Second

// callFunc answers a call of another node's. Several goroutines may call it at a time.
type callFunc func(from string, body []byte) ([]byte, error)

// calls is what this node answers to others.
type calls struct {
	mu     lock.RWMutex
	byName map[string]callFunc
	missed []func() // what to do when calls may have been missed
}

func (c *calls) on(name string, f callFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byName[name] = f
}

// OnCall has f answer what other nodes ask under a name (Call, CallAll). Several goroutines may call it at a time. On
// one node nobody asks.
func (h *Hub) OnCall(name string, f func(body []byte) ([]byte, error)) {
	if h.cluster != nil {
		h.cluster.calls.on(name, func(_ string, body []byte) ([]byte, error) { return f(body) })
	}
}

// OnMissed has f called when this node may have missed calls, because it could not be reached.
func (h *Hub) OnMissed(f func()) {
	if h.cluster == nil {
		return
	}
	c := &h.cluster.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missed = append(c.missed, f)
}

// tellMissed is told by the store.
func (c *calls) runMissed() {
	c.mu.RLock()
	list := c.missed
	c.mu.RUnlock()
	for _, f := range list {
		f()
	}
}

// Call asks another node, and returns its answer. Errors: those of what answers there; ErrUnavailable, and then it may
// have been done all the same.
func (h *Hub) Call(ctx context.Context, node, name string, body []byte) ([]byte, error) {
	if !h.cluster.sharesStreams() {
		return nil, fmt.Errorf("there is no node %q: %w", node, errs.ErrUnavailable)
	}
	answer, err := h.cluster.streams.Ask(ctx, node, appendRequest(name, body))
	if err != nil {
		return nil, err
	}
	return parseAnswer(node, answer)
}

// callWithin is Call with a time that the node may take.
func (h *Hub) callWithin(patience time.Duration, node, name string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	return h.Call(ctx, node, name, body)
}

// Broadcast tells all other nodes, which may not hear it, and waits for no answer. On one node it does nothing.
func (h *Hub) Broadcast(name string, body []byte) {
	if !h.cluster.sharesStreams() {
		return
	}
	if err := h.cluster.streams.Tell(appendRequest(name, body)); err != nil {
		h.logger.Debug("the other nodes are not told", "call", name, "error", err)
	}
}

// CallAll asks all other nodes at one time, and returns the answers of those that have given one. On one node it
// returns nil.
func (h *Hub) CallAll(name string, body []byte) (answers [][]byte) {
	if !h.cluster.sharesStreams() {
		return nil
	}
	var mu lock.Mutex
	var work sync.WaitGroup
	for _, node := range h.cluster.streams.Others() {
		work.Go(func() {
			answer, err := h.callWithin(callTimeout, node, name, body)
			if err != nil {
				h.logger.Warn("another node has not answered", "node", node, "call", name, "error", err)
				return
			}
			mu.Lock()
			answers = append(answers, answer)
			mu.Unlock()
		})
	}
	work.Wait()
	return answers
}

// callAll is CallAll with a question in JSON.
func (h *Hub) callAll(name string, question any) [][]byte {
	return h.CallAll(name, mustJSON(question))
}

// answer does what another node asks.
func (c *calls) answer(from string, request []byte) []byte {
	name, body, err := parseRequest(request)
	if err == nil {
		c.mu.RLock()
		f := c.byName[name]
		c.mu.RUnlock()
		if f == nil {
			err = fmt.Errorf("nodes of different versions? %q: %w", name, errs.ErrUnavailable)
		} else {
			body, err = f(from, body)
		}
	}
	return appendAnswer(body, err)
}

// answering has f answer calls in JSON.
func answering[T any](f func(question *T) (any, error)) func([]byte) ([]byte, error) {
	return func(body []byte) ([]byte, error) {
		question := new(T)
		if err := json.Unmarshal(body, question); err != nil {
			return nil, errs.Invalid("body", "nodes of different versions? %v", err)
		}
		answer, err := f(question)
		if err != nil {
			return nil, err
		}
		return json.Marshal(answer)
	}
}

// mustJSON encodes one of our own types, which cannot fail.
func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

// A request is the length of the name (uvarint), the name, and the body.
func appendRequest(name string, body []byte) []byte {
	b := make([]byte, 0, binary.MaxVarintLen16+len(name)+len(body))
	b = binary.AppendUvarint(b, uint64(len(name)))
	return append(append(b, name...), body...)
}

func parseRequest(b []byte) (name string, body []byte, err error) {
	part, body, ok := cutLength(b)
	if !ok {
		return "", nil, errs.Invalid("request", "is cut off; nodes of different versions?")
	}
	return string(part), body, nil
}

// An answer is one byte, and the body or the fault in JSON.
const (
	answerBody  = 0
	answerFault = 1
)

func appendAnswer(body []byte, err error) []byte {
	if err != nil {
		return append([]byte{answerFault}, mustJSON(faultOf(err))...)
	}
	return append([]byte{answerBody}, body...)
}

func parseAnswer(node string, b []byte) ([]byte, error) {
	if len(b) > 0 && b[0] == answerBody {
		return b[1:], nil
	}
	var fault nodeFault
	if len(b) == 0 || b[0] != answerFault || json.Unmarshal(b[1:], &fault) != nil {
		return nil, fmt.Errorf("node %s answered what is not understood; nodes of different versions? %w", node, errs.ErrUnavailable)
	}
	return nil, fault.error()
}

// withBytes joins a question in JSON and bytes that belong to it, which JSON would make longer.
func withBytes(question any, bytes []byte) []byte {
	head := mustJSON(question)
	b := make([]byte, 0, binary.MaxVarintLen32+len(head)+len(bytes))
	b = binary.AppendUvarint(b, uint64(len(head)))
	return append(append(b, head...), bytes...)
}

// cutBytes takes apart what withBytes has joined.
func cutBytes(body []byte, question any) (bytes []byte, err error) {
	head, bytes, ok := cutLength(body)
	if !ok || json.Unmarshal(head, question) != nil {
		return nil, errs.Invalid("body", "is not understood; nodes of different versions?")
	}
	return bytes, nil
}

// cutLength takes a part off b whose length stands before it.
func cutLength(b []byte) (part, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	b = b[size:]
	return b[:n], b[n:], true
}
