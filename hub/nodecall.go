package hub

import (
	"context"
	"fmt"
	"sync"
)

// calls are what the program's other parts ask of their likes on other nodes, through the hub.
type calls struct {
	mu     sync.RWMutex
	by     map[string]func(body []byte) ([]byte, error)
	missed []func() // what to do when calls may have been missed
}

// OnCall has f answer what other nodes ask under a name (Call, CallAll). It may be called in several goroutines at a time. On one node nobody asks.
func (h *Hub) OnCall(name string, f func(body []byte) ([]byte, error)) {
	h.calls.mu.Lock()
	defer h.calls.mu.Unlock()
	if h.calls.by == nil {
		h.calls.by = make(map[string]func([]byte) ([]byte, error))
	}
	h.calls.by[name] = f
}

// OnMissed has f called when this node may have missed calls, because it could not be reached.
func (h *Hub) OnMissed(f func()) {
	h.calls.mu.Lock()
	defer h.calls.mu.Unlock()
	h.calls.missed = append(h.calls.missed, f)
}

// missed is told by the store.
func (h *Hub) missed() {
	h.calls.mu.RLock()
	list := h.calls.missed
	h.calls.mu.RUnlock()
	for _, f := range list {
		f()
	}
}

func (c *calls) answer(req *nodeRequest, a *nodeAnswer) (err error) {
	c.mu.RLock()
	f := c.by[req.Call]
	c.mu.RUnlock()
	if f == nil {
		return fmt.Errorf("nodes of different versions? %q: %w", req.Call, ErrUnavailable)
	}
	a.Body, err = f(req.Text)
	return err
}

// Node returns the name of this node among several, or "" where there is one.
func (h *Hub) Node() string {
	if h.shared == nil {
		return ""
	}
	return h.shared.Node()
}

// NodeLives reports whether there is another node of that name.
func (h *Hub) NodeLives(node string) bool {
	return h.shared != nil && node != h.shared.Node() && h.shared.Alive(node)
}

// Call asks another node, and returns its answer. Errors: those of what answers there; ErrUnavailable, and then it may have been done all the same.
func (h *Hub) Call(ctx context.Context, node, name string, body []byte) ([]byte, error) {
	answer, err := h.askFor(ctx, node, &nodeRequest{Do: callNode, Call: name, Text: body})
	return answer.Body, err
}

// TellAll tells all other nodes, which may not hear it, and waits for no answer. On one node it does nothing.
func (h *Hub) TellAll(name string, body []byte) {
	if h.shared == nil {
		return
	}
	raw, err := (&nodeRequest{Do: callNode, Call: name, Text: body}).encode()
	if err == nil {
		err = h.shared.Tell(raw)
	}
	if err != nil {
		h.logger.Debug("the other nodes are not told", "call", name, "error", err)
	}
}

// CallAll asks all other nodes at one time, and returns the answers of those that have given one. On one node it returns nil.
func (h *Hub) CallAll(name string, body []byte) (answers [][]byte) {
	if h.shared == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(h.ctx, askTimeout)
	defer cancel()
	var mu sync.Mutex
	var work sync.WaitGroup
	for _, node := range h.shared.Others() {
		work.Go(func() {
			answer, err := h.Call(ctx, node, name, body)
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
