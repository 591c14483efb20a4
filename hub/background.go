package hub

import "github.com/duckwire/duckwire/hub/log"

// What a part of the server needs that sees a stream to its end, whoever is still there.

// Go runs f in a goroutine of the hub's, for which Close waits. f may wait for streams, which Close ends, and for nothing else. It belongs to
// who may still use the hub: nobody may call it once Close may have begun.
func (h *Hub) Go(f func()) { h.work.Go(f) }

// Closing is closed when Close begins to end what is left, after the completions of this node.
func (h *Hub) Closing() <-chan struct{} { return h.ctx.Done() }

// Conclude is Publish for the end of what was begun before: it is not refused while the hub drains.
func (h *Hub) Conclude(name, sender string, events []EventInput) ([]Published, error) {
	if err := h.check(events); err != nil {
		return nil, err
	}
	return h.append(name, sender, events)
}

// Listen opens a reader of the stream after p that is nobody: it is no watcher, and what it reads was not delivered.
func (s *Stream) Listen(p log.Position, wake log.Waker) *log.Reader {
	r := new(log.Reader)
	s.log.Lock()
	defer s.log.Unlock()
	s.log.Open(r, p, wake, log.ReaderOptions{Silent: true})
	return r
}

// Supersede ends the stream as superseded by something newer, which by names. On an ended stream it changes nothing.
func (s *Stream) Supersede(by string) {
	s.end(StatusSuperseded, Ending{Error: &EndError{Code: "superseded", Message: "a newer request took its place"}, by: by})
}
