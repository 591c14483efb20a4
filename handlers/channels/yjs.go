package channels

import (
	"context"
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
