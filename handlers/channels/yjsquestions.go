package channels

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// question is a request for what the server lacks.
type question struct {
	at    log.Position // the client has seen the log's events up to there when it answers
	whole bool         // for the whole state
	has   stateVector  // what the client had, as far as it is known
}

// sync tells a client that it has the whole document, behind the log's events, and asks it for what the log lacks: its
// changes while it was away.
func (h *yjsHandler) sync(buffer []byte) error {
	has, err := readStateVector(buffer)
	if err != nil {
		return err
	}
	end := socket.Outgoing{Event: eventYjs, Bytes: appendSync(nil, yjsStep2, []byte(emptyUpdate))}
	if _, err := h.c.PushBehind(end); err != nil {
		return err
	}
	h.synced.Store(true)
	if len(has) > 0 && h.mayWrite {
		h.ask(false, has)
	}
	h.askForState()
	return nil
}

// maxAsked is how many questions a client may leave unanswered.
const maxAsked = 8

// ask asks the client for what the log lacks, or for the whole state.
func (h *yjsHandler) ask(whole bool, has stateVector) {
	lacks := stateVector{}
	if !whole {
		lacks = h.doc.known()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.asked) >= maxAsked {
		return
	}
	at, err := h.c.PushBehind(socket.Outgoing{Event: eventYjs, Bytes: appendSync(nil, yjsStep1, lacks.encode())})
	if err == nil {
		h.asked = append(h.asked, question{at, len(lacks) == 0, has})
	}
}

// askForState asks a client for the whole state if one is needed: this client, which is alive, or another one.
func (h *yjsHandler) askForState() {
	if !h.doc.needsState(time.Now()) {
		return
	}
	asked := h
	if !h.mayWrite || !h.synced.Load() {
		asked = h.doc.writer(h)
	}
	if asked != nil {
		asked.ask(true, nil)
	}
}

// askLaterDelay is how long a client is given that sent too much at once.
const askLaterDelay = 2 * time.Second

// askLater asks the client soon for what was refused, because Yjs clients do not send an update again.
func (h *yjsHandler) askLater() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.behind != nil || h.over {
		return
	}
	h.behind = time.AfterFunc(askLaterDelay, func() {
		h.mu.Lock()
		over := h.over
		h.behind = nil
		h.mu.Unlock()
		if !over {
			h.ask(false, nil)
		}
	})
}

// answered removes the question that the client answers. A client answers in order.
func (h *yjsHandler) answered() (q question) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.asked) > 0 {
		q, h.asked = h.asked[0], h.asked[1:]
	}
	return q
}

// answer handles the answer to a question.
func (h *yjsHandler) answer(buffer []byte) error {
	q := h.answered()
	news := h.doc.isNews(buffer)
	switch {
	case q.whole && q.at.Epoch == h.c.TopicTail().Epoch && (news || h.doc.isWanted()):
		state := appendSync(binary.AppendUvarint(nil, q.at.Offset), yjsUpdate, buffer)
		if err := h.publishBytes(yjsState, state, q.at.Offset); err != nil {
			if errors.Is(err, errs.ErrTooLarge) {
				h.doc.postpone(time.Now().Add(time.Minute))
			}
			return err
		}
	case news:
		if err := h.publishUpdate(buffer); err != nil {
			return err
		}
	}
	h.doc.cover(q.has)
	return nil
}
