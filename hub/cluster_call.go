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

// Nodes call each other by the names of calls. A request is a name and a body, an answer is a body or an error. The
// caller and the function that answers agree on the format of the bodies. SharedStreams transports both as bytes, and
// limits their size.

// callTimeout is how long a node may take to answer.
const callTimeout = 5 * time.Second

// callFunc answers a call from another node. It may be called concurrently.
type callFunc func(from string, body []byte) ([]byte, error)

// calls has the functions that answer other nodes.
type calls struct {
	mu       lock.RWMutex
	byName   map[string]callFunc
	onMissed []func()            // are called when this node may have missed calls
	missed   bool                // they are to be called, once more where they run
	handling bool                // they run
	behind   map[string]struct{} // nodes that have not answered a NotifyAll, and are to be notified of that
}

// callMissed notifies a node that it has missed a NotifyAll.
const callMissed = "missed"

func (c *calls) on(name string, f callFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byName[name] = f
}

// OnCall has f answer the calls of other nodes with a name (Call, CallAll, Broadcast). f may be called concurrently.
// On a single node it is never called.
func (c *Cluster) OnCall(name string, f func(body []byte) ([]byte, error)) {
	if c != nil {
		c.calls.on(name, func(_ string, body []byte) ([]byte, error) { return f(body) })
	}
}

// OnMissed has f called when this node may have missed a NotifyAll: the node that called it could not reach this one,
// or has died before it did.
func (c *Cluster) OnMissed(f func()) {
	if c == nil {
		return
	}
	c.calls.mu.Lock()
	defer c.calls.mu.Unlock()
	c.calls.onMissed = append(c.calls.onMissed, f)
}

// handleMissed runs the functions of OnMissed in a goroutine: they ask the store, and its heartbeat must not wait for
// them. Several calls while they run cause one more run.
func (c *Cluster) handleMissed() {
	c.calls.mu.Lock()
	c.calls.missed = true
	run := !c.calls.handling
	c.calls.handling = true
	c.calls.mu.Unlock()
	if run {
		c.hub.background.TryGo(c.runMissed)
	}
}

func (c *Cluster) runMissed() {
	for {
		c.calls.mu.Lock()
		run, list := c.calls.missed, c.calls.onMissed
		c.calls.missed, c.calls.handling = false, run
		c.calls.mu.Unlock()
		if !run {
			return
		}
		for _, f := range list {
			f()
		}
	}
}

// Call asks another node and returns its answer. Errors: those of the function that answers; ErrUnavailable, and then
// the call may have been executed.
func (c *Cluster) Call(ctx context.Context, node, name string, body []byte) ([]byte, error) {
	if !c.sharesStreams() {
		return nil, fmt.Errorf("there is no node %q: %w", node, errs.ErrUnavailable)
	}
	answer, err := c.streams.Ask(ctx, node, appendRequest(name, body))
	if err != nil {
		return nil, err
	}
	return parseAnswer(node, answer)
}

// callWithin is Call with a timeout. It ends when the hub closes.
func (c *Cluster) callWithin(timeout time.Duration, node, name string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(c.hub.ctx, timeout)
	defer cancel()
	return c.Call(ctx, node, name, body)
}

// Broadcast sends a call to all other nodes, without an answer or a guarantee of delivery. On a single node it does
// nothing.
func (c *Cluster) Broadcast(name string, body []byte) {
	if !c.sharesStreams() {
		return
	}
	if err := c.streams.Tell(appendRequest(name, body)); err != nil {
		c.hub.logger.Debug("the other nodes are not told", "call", name, "error", err)
	}
}

// CallAll asks all other nodes concurrently, and returns the answers of those that answer. On a single node it returns
// nil.
func (c *Cluster) CallAll(name string, body []byte) (answers [][]byte) {
	return c.askAll(name, body, func(string) {})
}

// askAll is CallAll. onSilent is called with each node that does not answer.
func (c *Cluster) askAll(name string, body []byte, onSilent func(node string)) (answers [][]byte) {
	if !c.sharesStreams() {
		return nil
	}
	var mu lock.Mutex
	var work sync.WaitGroup
	for _, node := range c.streams.Others() {
		work.Go(func() {
			answer, err := c.callWithin(callTimeout, node, name, body)
			if err != nil {
				c.hub.logger.Warn("another node has not answered", "node", node, "call", name, "error", err)
				onSilent(node)
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

// NotifyAll is CallAll for what no node may miss. A node that does not answer is notified, as soon as it can be
// reached, that it has missed a call, and runs its functions of OnMissed.
func (c *Cluster) NotifyAll(name string, body []byte) (answers [][]byte) {
	return c.askAll(name, body, c.notifyLater)
}

// NotifyMissed has all other nodes run their functions of OnMissed.
func (c *Cluster) NotifyMissed() { c.NotifyAll(callMissed, nil) }

// notifyLater starts to notify a node that it has missed a call, unless that is under way.
func (c *Cluster) notifyLater(node string) {
	c.calls.mu.Lock()
	_, notified := c.calls.behind[node]
	c.calls.behind[node] = struct{}{}
	c.calls.mu.Unlock()
	if !notified {
		c.hub.background.TryGo(func() { c.notifyUntilAnswered(node) }) // false: the hub closes
	}
}

// maxNotifyPause is the longest pause before a node is notified again.
const maxNotifyPause = 10 * time.Second

// notifyUntilAnswered notifies a node that it has missed a call, until it answers. A node that counts as dead is left
// out: if it lives, it finds out by itself that it was cut off.
func (c *Cluster) notifyUntilAnswered(node string) {
	forget := func() {
		c.calls.mu.Lock()
		defer c.calls.mu.Unlock()
		delete(c.calls.behind, node)
	}
	pause := time.Second
	for ; c.hub.background.Pause(pause) && c.streams.Alive(node); pause = min(2*pause, maxNotifyPause) {
		forget() // a call that is missed from here on needs another notification
		if _, err := c.callWithin(callTimeout, node, callMissed, nil); err == nil {
			return
		}
		c.calls.mu.Lock()
		_, notified := c.calls.behind[node]
		c.calls.behind[node] = struct{}{}
		c.calls.mu.Unlock()
		if notified { // by another goroutine, since forget
			return
		}
	}
	forget()
}

// callAll is CallAll with a question that it encodes as JSON.
func (c *Cluster) callAll(name string, question any) [][]byte {
	return c.CallAll(name, mustJSON(question))
}

// answer answers a request of another node.
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

// answering returns a function that answers calls with f, whose question and answer it decodes and encodes as JSON.
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

// mustJSON encodes a value of one of our own types, whose encoding cannot fail.
func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

// appendRequest encodes a request: the length of the name (uvarint), the name, and the body.
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

// The first byte of an answer. What follows is the body, or the error as a remoteError in JSON.
const (
	answerBody  = 0
	answerFault = 1
)

func appendAnswer(body []byte, err error) []byte {
	if err != nil {
		return append([]byte{answerFault}, mustJSON(encodeError(err))...)
	}
	return append([]byte{answerBody}, body...)
}

func parseAnswer(node string, b []byte) ([]byte, error) {
	if len(b) > 0 && b[0] == answerBody {
		return b[1:], nil
	}
	var fault remoteError
	if len(b) == 0 || b[0] != answerFault || json.Unmarshal(b[1:], &fault) != nil {
		return nil, fmt.Errorf("node %s answered what is not understood; nodes of different versions? %w",
			node, errs.ErrUnavailable)
	}
	return nil, fault.decode()
}

// withBytes encodes a question as JSON, followed by bytes that belong to it. In JSON the bytes would be longer.
func withBytes(question any, bytes []byte) []byte {
	head := mustJSON(question)
	b := make([]byte, 0, binary.MaxVarintLen32+len(head)+len(bytes))
	b = binary.AppendUvarint(b, uint64(len(head)))
	return append(append(b, head...), bytes...)
}

// cutBytes decodes what withBytes has encoded.
func cutBytes(body []byte, question any) (bytes []byte, err error) {
	head, bytes, ok := cutLength(body)
	if !ok || json.Unmarshal(head, question) != nil {
		return nil, errs.Invalid("body", "is not understood; nodes of different versions?")
	}
	return bytes, nil
}

// cutLength splits b behind a part that begins with its length (uvarint).
func cutLength(b []byte) (part, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	b = b[size:]
	return b[:n], b[n:], true
}
