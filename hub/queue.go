package hub

import (
	"errors"
	"fmt"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/lock"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/mirror"
)

// ErrNoQueue means that the hub was created without a QueueStore.
var ErrNoQueue = fmt.Errorf("messages cannot be kept here: %w", errs.ErrUnavailable)

// queues has the queues of those users who read theirs on this node. All others are only in the store.
type queues struct {
	hub     *Hub
	store   QueueStore // nil: there are no queues
	started time.Time  // when the hub was created

	mu   lock.Mutex
	open map[string]*queueLog
}

func (q *queues) init(h *Hub, store QueueStore) {
	q.mu.SetClass(lock.Queues)
	q.hub, q.store, q.started, q.open = h, store, time.Now(), make(map[string]*queueLog)
}

// epoch returns the epoch of all queues' positions. It is the store's with a suffix: it needs a '-', so that positions
// of queues can stand in a log.Vector.
func (q *queues) epoch() string { return queueEpoch(q.store.QueueEpoch()) }

func queueEpoch(ofStore string) string { return ofStore + "-q" }

// QueueEpoch returns the epoch that positions of queues have; "" if there are no queues.
func (h *Hub) QueueEpoch() string {
	if h.queues.store == nil {
		return ""
	}
	return h.queues.epoch()
}

// Enqueue stores messages for users, all or none. When it returns, the store has them on disk, and sessions of the
// users on this node have been signalled. Errors: *FieldError (also of the kind ErrConflict, for an id of the sender's
// with another content), *LimitError (ErrTooLarge, ErrQueueFull), ErrUnavailable if they cannot be stored, ErrClosed while draining. The caller must have checked that the sender may leave messages
// for these users.
func (h *Hub) Enqueue(sender string, messages []MessageInput) ([]Queued, error) {
	switch limit := h.limits.BatchEvents; {
	case h.queues.store == nil:
		return nil, ErrNoQueue
	case h.IsDraining():
		return nil, errs.ErrClosed
	case len(messages) == 0:
		return nil, errs.Invalid("messages", "must hold at least one message")
	case len(messages) > limit:
		return nil, &errs.LimitError{
			Kind: errs.ErrTooLarge, Name: "messages in one request (batch_events)", Limit: int64(limit),
		}
	}
	now := time.Now()
	stored := make([]StoredMessage, len(messages))
	field := func(i int) string { return messageField(i, len(messages)) }
	var ids idsOfRequest
	for i := range messages {
		if err := validMessage(fieldPrefix(field(i))+"event", messages[i].Event); err != nil {
			return nil, err
		}
		m, err := messages[i].toStored(sender, field(i), &h.limits, now)
		if err != nil {
			return nil, err
		}
		if m.Named && len(messages) > 1 && !ids.use(idUse{m.User, m.ID}, m.Digest()) {
			return nil, idConflict(fieldPrefix(field(i)))
		}
		stored[i] = m
	}
	out, err := h.queues.storeMessages(stored, QueueLimits{Messages: h.limits.QueueMax, Bytes: h.limits.QueueBytes})
	return out, nameConflict(err, field)
}

// messageField returns the name of one message of a request for errors: its index if there are several, otherwise "".
func messageField(i, n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf("messages[%d]", i)
}

// storeMessages stores checked messages, also while the hub drains, and signals the readers on this node.
func (q *queues) storeMessages(messages []StoredMessage, limits QueueLimits) ([]Queued, error) {
	offsets, err := q.store.Enqueue(messages, limits)
	if err != nil {
		return nil, err
	}
	out := make([]Queued, len(messages))
	refreshed := make(map[string]bool)
	for i := range messages {
		m := &messages[i]
		out[i] = Queued{ID: m.ID, Position: log.Position{Epoch: q.epoch(), Offset: offsets[i]}}
		if !refreshed[m.User] {
			refreshed[m.User] = true
			q.refresh(m.User)
		}
	}
	return out, nil
}

// find returns the log of a user's queue, or nil if nobody reads it on this node.
func (q *queues) find(user string) *queueLog {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.open[user]
}

// refresh has the mirror of a user's queue read the store, if anybody reads the queue on this node, and waits for it.
// If that fails, the mirror retries it.
func (q *queues) refresh(user string) {
	if ql := q.find(user); ql != nil {
		_ = ql.mirror.Refresh(queueLoadTimeout)
	}
}

// AckMessages acknowledges all messages of a user up to and including the one at a position. It is idempotent. Errors:
// *FieldError if the position is not one of this queue; ErrUnavailable.
func (h *Hub) AckMessages(user string, through log.Position) error {
	q := &h.queues
	switch {
	case q.store == nil:
		return ErrNoQueue
	case through.Now:
		return errs.Invalid("through",
			`must be the position of a message; "now" would acknowledge what has not been read`)
	case through.Epoch == "": // the position before the first message: there is nothing to acknowledge
		return nil
	}
	if err := q.checkPosition(user, through); err != nil {
		return err
	}
	ahead, err := q.store.AckMessages(user, through.Offset)
	if err != nil {
		return err
	}
	if ahead {
		return errs.Invalid("through", "is behind the newest message")
	}
	if ql := q.find(user); ql != nil {
		ql.acknowledged(through.Offset)
	}
	return nil
}

// checkPosition returns an error unless p is a position of the user's queue: of the present epoch, or of an earlier one
// up to where the two agree.
func (q *queues) checkPosition(user string, p log.Position) error {
	if p.Epoch == q.epoch() {
		return nil
	}
	page, err := q.store.Messages(user, 0, 1)
	if err != nil {
		return err
	}
	if p.Epoch == q.epoch() { // reading the store may have told this node of a new epoch
		return nil
	}
	for _, earlier := range earlierEpochs(&page) {
		if p.Epoch == earlier.Epoch && p.Offset <= earlier.Offset {
			return nil
		}
	}
	return errs.Invalid("through", "is no position of this queue: of a topic or stream, "+
		"or from before a backup was restored; read the messages again")
}

// earlierEpochs returns the page's earlier epochs of the queue in the form that positions have.
func earlierEpochs(page *QueuePage) (earlier []log.Position) {
	for _, p := range page.Before {
		earlier = append(earlier, log.Position{Epoch: queueEpoch(p.Epoch), Offset: p.Offset})
	}
	return earlier
}

// ReadQueue opens a reader of a user's messages after p. It starts with the oldest message if p is the beginning, and
// also, with a Reset, if p cannot be resumed. wake is signalled when there is more to read. ReadQueue reads the store.
// Errors: ErrUnavailable.
func (h *Hub) ReadQueue(user string, p log.Position, wake log.Waker) (*QueueReader, *log.Reset, error) {
	if h.queues.store == nil {
		return nil, nil, ErrNoQueue
	}
	ql := h.queues.acquire(user)
	if err := ql.open(); err != nil {
		h.queues.release(ql)
		return nil, nil, err
	}
	r, reset := ql.openReader(p, wake)
	return r, reset, nil
}

// acquire returns the log of a user's queue, which it creates if needed, with one reference more.
func (q *queues) acquire(user string) *queueLog {
	epoch := q.epoch()
	q.mu.Lock()
	ql := q.open[user]
	first := ql == nil
	if first {
		ql = &queueLog{hub: q.hub, user: user}
		ql.SetClass(lock.Queue)
		ql.Init(epoch, nil, &q.hub.encoded)
		ql.mirror = mirror.New[struct{}](ql, &q.hub.background)
		q.open[user] = ql
	}
	ql.refs++
	q.mu.Unlock()
	if first {
		ql.mirror.Start()
	}
	return ql
}

// release gives back one reference of acquire. It drops the log with the last one.
func (q *queues) release(ql *queueLog) {
	q.mu.Lock()
	ql.refs--
	last := ql.refs == 0
	if last {
		delete(q.open, ql.user)
	}
	q.mu.Unlock()
	if last {
		ql.close()
	}
}

// expiryTime is the time by which messages expire: the earlier of the system's clock and of the hub's start plus the
// time that has passed since. So no stored message expires early because the clock was set; it may expire late.
func (q *queues) expiryTime() time.Time {
	now, steady := time.Now(), q.started.Add(time.Since(q.started))
	if steady.UnixNano() < now.UnixNano() { // compares wall clocks; Before would compare monotonic ones
		return steady.Round(0)
	}
	return now.Round(0)
}

// expireBatch is how many messages are expired by one call of the store, so that no other caller waits long for it.
const expireBatch = 200

// expire drops the expired messages of all users from the store, and has the queues that are read tell their readers.
func (q *queues) expire(now time.Time) {
	if q.store == nil {
		return
	}
	for !q.hub.background.isClosing() {
		n, err := q.store.ExpireMessages("", now, expireBatch)
		if err != nil && !errors.Is(err, errs.ErrUnavailable) {
			q.hub.logger.Error("expired messages stay for now", "error", err)
		}
		if err != nil || n < expireBatch {
			break
		}
	}
	q.mu.Lock()
	var expired []*queueLog
	for _, ql := range q.open {
		if ql.hasExpired(now) {
			expired = append(expired, ql)
		}
	}
	q.mu.Unlock()
	for _, ql := range expired {
		ql.mirror.Gap()
	}
}
