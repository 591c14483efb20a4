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

// ErrNoQueue means that the hub was made without a QueueStore.
var ErrNoQueue = fmt.Errorf("messages cannot be kept here: %w", errs.ErrUnavailable)

// queues holds the queues of the users who are reading theirs. The others' are in the store alone.
type queues struct {
	store QueueStore // nil: there are no queues

	mu   lock.Mutex
	open map[string]*queueLog
}

func (q *queues) init(store QueueStore) {
	q.mu.SetClass(lock.Queues)
	q.store, q.open = store, make(map[string]*queueLog)
}

// epoch returns that of every queue's positions: the store's with a '-', so that positions of queues can stand in a
// Vector.
func (q *queues) epoch() string { return queueEpoch(q.store.QueueEpoch()) }

func queueEpoch(ofStore string) string { return ofStore + "-q" }

// Enqueue leaves messages for users, all or none. When it returns, they are on disk, and on their way to the users who
// are there. Errors: *FieldError, *LimitError (ErrTooLarge; ErrQueueFull), ErrUnavailable where they cannot be kept,
// ErrClosed while draining. Whether sender may leave messages for them is the caller's to check.
func (h *Hub) Enqueue(sender string, messages []MessageInput) ([]Queued, error) {
	switch {
	case h.queues.store == nil:
		return nil, ErrNoQueue
	case h.IsDraining():
		return nil, errs.ErrClosed
	case len(messages) == 0:
		return nil, errs.Invalid("messages", "must hold at least one message")
	case len(messages) > h.limits.BatchEvents:
		return nil, &errs.LimitError{Kind: errs.ErrTooLarge, Name: "messages in one request (batch_events)", Limit: int64(h.limits.BatchEvents)}
	}
	now := time.Now()
	stored := make([]StoredMessage, len(messages))
	for i := range messages {
		var err error
		if stored[i], err = messages[i].toStored(sender, messageField(i, len(messages)), &h.limits, now); err != nil {
			return nil, err
		}
	}
	return h.storeMessages(stored, QueueLimits{Messages: h.limits.QueueMax, Bytes: h.limits.QueueBytes})
}

func messageField(i, n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf("messages[%d]", i)
}

// storeMessages stores checked messages, whatever the hub's state, and tells the readers.
func (h *Hub) storeMessages(messages []StoredMessage, room QueueLimits) ([]Queued, error) {
	offsets, err := h.queues.store.Enqueue(messages, room)
	if err != nil {
		return nil, err
	}
	out := make([]Queued, len(messages))
	told := make(map[string]bool)
	for i := range messages {
		m := &messages[i]
		out[i] = Queued{ID: m.ID, Position: log.Position{Epoch: h.queues.epoch(), Offset: offsets[i]}}
		if !told[m.User] {
			told[m.User] = true
			h.refreshQueue(m.User)
		}
	}
	return out, nil
}

// refreshQueue has a queue that is being read look at the store, and waits for it. What fails is tried again by the
// queue's mirror.
func (h *Hub) refreshQueue(user string) {
	h.queues.mu.Lock()
	ql := h.queues.open[user]
	h.queues.mu.Unlock()
	if ql != nil {
		_ = ql.mirror.Refresh(queueLoadTimeout)
	}
}

// AckMessages acknowledges all messages of a user up to and with the one at a position. Acknowledging again changes
// nothing. Errors: *FieldError where the position is none of this queue; ErrUnavailable.
func (h *Hub) AckMessages(user string, through log.Position) error {
	switch {
	case h.queues.store == nil:
		return ErrNoQueue
	case through.Now:
		return errs.Invalid("through", `must be the position of a message; "now" would acknowledge what has not been read`)
	case through.Epoch == "": // the beginning: nothing
		return nil
	}
	if err := h.checkQueuePosition(user, through); err != nil {
		return err
	}
	ahead, err := h.queues.store.AckMessages(user, through.Offset)
	if err != nil {
		return err
	}
	if ahead {
		return errs.Invalid("through", "is behind the newest message")
	}
	h.queues.mu.Lock()
	ql := h.queues.open[user]
	h.queues.mu.Unlock()
	if ql != nil {
		ql.acknowledged(through.Offset)
	}
	return nil
}

// checkQueuePosition returns an error for a position that does not mean a message of the user's queue any more, or
// never has.
func (h *Hub) checkQueuePosition(user string, p log.Position) error {
	if p.Epoch == h.queues.epoch() {
		return nil
	}
	page, err := h.queues.store.Messages(user, 0, 1)
	if err != nil {
		return err
	}
	if p.Epoch == h.queues.epoch() { // which this node did not know before it asked
		return nil
	}
	for _, before := range earlierEpochs(&page) {
		if p.Epoch == before.Epoch && p.Offset <= before.Offset {
			return nil
		}
	}
	return errs.Invalid("through", "is no position of this queue: of a topic or stream, or from before a backup was restored; read the messages again")
}

// earlierEpochs returns the epochs before of a queue, as positions have them.
func earlierEpochs(page *QueuePage) (before []log.Position) {
	for _, p := range page.Before {
		before = append(before, log.Position{Epoch: queueEpoch(p.Epoch), Offset: p.Offset})
	}
	return before
}

// ReadQueue opens a reader of a user's messages after p, or of all that wait where p is the beginning; where p cannot
// be gone on from, of all with a Reset. The wake fires when there is more to read. Errors: ErrUnavailable. It reads
// from the store.
func (h *Hub) ReadQueue(user string, p log.Position, wake log.Waker) (*QueueReader, *log.Reset, error) {
	if h.queues.store == nil {
		return nil, nil, ErrNoQueue
	}
	ql := h.queues.enter(h, user)
	if err := ql.open(); err != nil {
		h.queues.leave(ql)
		return nil, nil, err
	}
	r, reset := ql.openReader(p, wake)
	return r, reset, nil
}

// QueueEpoch returns the epoch that positions of queues have; "" where there are none.
func (h *Hub) QueueEpoch() string {
	if h.queues.store == nil {
		return ""
	}
	return h.queues.epoch()
}

// enter returns the log of a user's queue, for one reader more.
func (q *queues) enter(h *Hub, user string) *queueLog {
	epoch := q.epoch()
	q.mu.Lock()
	ql := q.open[user]
	first := ql == nil
	if first {
		ql = &queueLog{hub: h, user: user}
		ql.SetClass(lock.Queue)
		ql.Init(epoch, nil, &h.encoded)
		ql.mirror = mirror.New[struct{}](ql, &h.background)
		q.open[user] = ql
	}
	ql.refs++
	q.mu.Unlock()
	if first {
		ql.mirror.Start()
	}
	return ql
}

// leave forgets the log when its last reader has gone.
func (q *queues) leave(ql *queueLog) {
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

// expireBatch is how many messages are expired in one step, so that nobody waits long for the store.
const expireBatch = 200

// expireQueues forgets messages that are too old, of everybody, in small steps, and has the queues that are being read
// tell it.
func (h *Hub) expireQueues(now time.Time) {
	if h.queues.store == nil {
		return
	}
	for !h.isClosing() {
		n, err := h.queues.store.ExpireMessages("", now, expireBatch)
		if err != nil && !errors.Is(err, errs.ErrUnavailable) {
			h.logger.Error("expired messages stay for now", "error", err)
		}
		if err != nil || n < expireBatch {
			break
		}
	}
	h.queues.mu.Lock()
	var expired []*queueLog
	for _, ql := range h.queues.open {
		if ql.hasExpired(now) {
			expired = append(expired, ql)
		}
	}
	h.queues.mu.Unlock()
	for _, ql := range expired {
		ql.mirror.Gap()
	}
}

func (h *Hub) isClosing() bool { return h.ctx.Err() != nil }
