package channels

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// yjs is the kind of yjs:*, documents of Yjs clients (the npm package y-phoenix-channel). The document is in the
// topic's log: a client that joins gets all of it. The server reads no update. Before the log's limits would drop one,
// it asks a client for the document's whole state, which covers all before it.
type yjs struct{ documents *documents }

// Join implements socket.Kind.
func (k yjs) Join(ctx context.Context, c *socket.Channel, _ json.RawMessage) (socket.Handler, error) {
	if err := enter(ctx, c); err != nil {
		return nil, err
	}
	h := &yjsHandler{publisher: publisher{c}, documents: k.documents}
	switch err := c.Authorize(ctx, c.Topic(), rights.ActionPublish); {
	case err == nil:
		h.mayWrite = true
	case !errors.Is(err, errs.ErrForbidden):
		return nil, err
	}
	if err := c.SubscribeFrom(c.Topic(), log.Position{}); err != nil {
		return nil, err
	}
	h.doc = k.documents.join(c.Topic(), h)
	return h, nil
}

// yjsHandler handles one client's join of a document.
type yjsHandler struct {
	publisher
	documents *documents
	doc       *document
	mayWrite  bool
	synced    atomic.Bool // the client has asked for the document, and gets it

	mu     sync.Mutex
	asked  []question  // that the client has not answered
	behind *time.Timer // asks for what was refused; nil: nothing was
	over   bool
}

// question is a request for what the server lacks.
type question struct {
	at    log.Position // the client has seen the log's events up to there when it answers
	whole bool         // for the whole state
	has   stateVector  // what the client had, as far as it is known
}

const (
	eventYjs        = "yjs"      // a message to all
	eventYjsSync    = "yjs_sync" // a message to the server
	awarenessPrefix = "yjs_awareness."
)

// Left implements socket.Leaver.
func (h *yjsHandler) Left() {
	h.mu.Lock()
	h.over = true
	if h.behind != nil {
		h.behind.Stop()
	}
	h.mu.Unlock()
	for _, c := range h.doc.gone(h) {
		if h.doc.hear(&c, h) {
			_ = h.publishCursor(&c) // fails while the server drains: clients give up silent cursors themselves
		}
	}
	h.documents.leave(h.c.Topic(), h)
}

// Rate implements socket.Rated. What a client sends on of others' awareness does not count as its own cursor.
func (h *yjsHandler) Rate(m *socket.Message) (kind ratelimit.Kind, ok bool) {
	b, err := yjsBytes(m)
	if err != nil {
		return 0, false
	}
	if msg, err := readYjs(b); err == nil && msg.kind == yjsAwareness {
		if list, err := readCursors(msg.buffer); err == nil && !h.doc.isEcho(list) {
			return ratelimit.Cursors, true
		}
	}
	return ratelimit.Events, true
}

// Refused implements socket.RefusalObserver: what was refused is asked for later.
func (h *yjsHandler) Refused(m *socket.Message, _ error) {
	b, err := yjsBytes(m)
	if err != nil {
		return
	}
	if msg, err := readYjs(b); err == nil && msg.kind == yjsSync && h.mayWrite {
		if msg.sync == yjsStep2 {
			h.answered()
		}
		h.askLater()
	}
}

// Handle implements socket.Handler.
func (h *yjsHandler) Handle(ctx context.Context, m *socket.Message) error {
	switch m.Event {
	case eventYjs, eventYjsSync:
		if err := h.message(ctx, m); err != nil {
			return err
		}
		m.Reply(nil)
		return nil
	}
	if strings.HasPrefix(m.Event, "yjs") {
		return errs.Invalid("event", "must be yjs or yjs_sync; other names that begin with yjs are the server's")
	}
	return h.publisher.Handle(ctx, m)
}

// yjsBytes returns a message's bytes, which clients without binary frames send as {"bytes": BASE64}.
func yjsBytes(m *socket.Message) ([]byte, error) {
	if m.Event != eventYjs && m.Event != eventYjsSync {
		return nil, errYjs
	}
	if m.Bytes != nil {
		return m.Bytes, nil
	}
	var p struct {
		Bytes []byte `json:"bytes"`
	}
	if err := m.Decode(&p); err != nil {
		return nil, err
	}
	return p.Bytes, nil
}

// message handles a message of y-protocols.
func (h *yjsHandler) message(ctx context.Context, m *socket.Message) error {
	b, err := yjsBytes(m)
	if err != nil {
		return err
	}
	msg, err := readYjs(b)
	switch {
	case err != nil:
		return err
	case msg.kind == yjsAwareness:
		return h.awareness(ctx, msg.buffer)
	case msg.sync == yjsStep1:
		return h.sync(msg.buffer)
	}
	if err := h.c.Authorize(ctx, h.c.Topic(), rights.ActionPublish); err != nil {
		return err
	}
	if msg.sync == yjsStep2 {
		err = h.answer(msg.buffer)
	} else {
		err = h.publishUpdate(msg.buffer)
	}
	if errors.Is(err, errs.ErrLimited) {
		h.askLater()
	}
	h.askForState()
	return err
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

// publishUpdate publishes an update to the other clients.
func (h *yjsHandler) publishUpdate(buffer []byte) error {
	if err := h.doc.room(len(buffer)); err != nil {
		return err
	}
	return h.publishBytes(eventYjs, appendSync(nil, yjsUpdate, buffer), 0)
}

func (h *yjsHandler) publishBytes(event string, b []byte, covers uint64) error {
	out, err := h.c.Publish(h.c.Topic(), hub.EventInput{Event: event, Bytes: b, Except: h.c.Client()})
	if err != nil {
		return err
	}
	at, err := log.ParsePosition(out.Position)
	if err == nil {
		h.doc.count(at.Epoch, update{at.Offset, eventSize(len(b)), time.Now(), covers})
	}
	return err
}

// awareness publishes what is new of cursors. Each is an event without history of its own, so a client that joins gets
// the current ones.
func (h *yjsHandler) awareness(ctx context.Context, buffer []byte) error {
	if err := h.c.Authorize(ctx, h.c.Topic(), rights.ActionPresence); err != nil {
		if err := h.c.Authorize(ctx, h.c.Topic(), rights.ActionPublish); err != nil {
			return err
		}
	}
	list, err := readCursors(buffer)
	if err != nil {
		return err
	}
	for i := range list {
		if h.doc.hear(&list[i], h) {
			if err := h.publishCursor(&list[i]); err != nil {
				return err
			}
		}
	}
	h.askForState()
	return nil
}

func (h *yjsHandler) publishCursor(c *cursor) error {
	_, err := h.c.Publish(h.c.Topic(), hub.EventInput{
		Event: awarenessPrefix + strconv.FormatUint(c.client, 10), Bytes: c.message(), Ephemeral: true,
		Except: h.c.Client(),
	})
	return err
}

// Rewrite implements socket.Rewriter. Clients know one event, yjs, whose payload is bytes.
func (h *yjsHandler) Rewrite(ev *log.Event) (out socket.Outgoing, keep bool) {
	covers, state, isState := readState(ev)
	if ev.Offset > 0 {
		h.doc.count(epochOf(ev), update{ev.Offset, eventSize(len(ev.Bytes)), ev.Time, covers})
	}
	out.Event = eventYjs
	switch {
	case isState:
		out.Bytes = state
	case strings.HasPrefix(ev.Name, awarenessPrefix) && ev.Bytes != nil:
		if msg, err := readYjs(ev.Bytes); err == nil {
			list, _ := readCursors(msg.buffer) // published by a server
			for i := range list {
				h.doc.hear(&list[i], nil)
			}
		}
		out.Bytes = ev.Bytes
	case strings.HasPrefix(ev.Name, eventYjs) && ev.Bytes == nil:
		return socket.Outgoing{}, false // clients could not read it
	default:
		return out, true
	}
	return out, false
}
