package hub

import (
	"encoding/json"
	"time"

	"github.com/duckwire/duckwire/hub/log"
)

// A QueueStore stores users' messages until they are acknowledged. A user's queue is a log that is trimmed at its
// beginning: messages have the offsets head+1 … tail, acknowledging and expiring move the head, and within one
// QueueEpoch no offset is used twice. When a call that stores something returns, it is durable: it survives the end of
// the process and of the machine. Safe for concurrent use. Whoever opened the store closes it, after the hub.
type QueueStore interface {
	// QueueEpoch returns the epoch of the store's offsets: [a-z0-9], 1 to 24 bytes. It does not change at a restart. It
	// changes when anything may have set offsets back, such as the restore of a backup.
	QueueEpoch() string
	// Enqueue appends messages to the queues of their users, in order, all or none, and returns their offsets. A Named
	// message is not appended if the queue remembers that id of its sender: the first offset is returned. A queue
	// remembers an id as long as it has the message, and for at least ten minutes from its QueuedAt. No message expires
	// before the one in front of it: its ExpiresAt is postponed to that one's. Messages that have expired by a
	// message's QueuedAt make room for it. Errors: QueueFull if a queue would exceed limits; *IDConflictError for a Named
	// message whose id is remembered with another Digest. No two messages of a call are for one user and have one id and
	// different digests.
	Enqueue(messages []StoredMessage, limits QueueLimits) ([]uint64, error)
	// Messages returns a page of a user's messages behind an offset, oldest first: at most limit, and fewer if they are
	// large (PageBytes).
	Messages(user string, after uint64, limit int) (QueuePage, error)
	// AckMessages drops a user's messages up to an offset, and the count of expired ones up to it. It is idempotent.
	// ahead means that the queue has never had that offset; then nothing is changed.
	AckMessages(user string, through uint64) (ahead bool, err error)
	// ExpireMessages drops, and counts as expired, messages whose ExpiresAt is not after now: at most limit, of one
	// user, or of any user if user is "". It returns how many.
	ExpireMessages(user string, now time.Time, limit int) (int, error)
	// QueueSummaries returns the queues with the most messages, at most limit, those of equal length by the names of
	// their users, and the totals of all queues.
	QueueSummaries(limit int) ([]QueueSummary, QueueTotals, error)
}

// A QueueFollower is a QueueStore that several nodes share. Its QueueEpoch may change at any time.
type QueueFollower interface {
	QueueStore
	// FollowQueue calls onChange, which must not block, when a user's messages may have changed on any node. After stop
	// has returned there are no more calls, except for one that runs at that moment.
	FollowQueue(user string, onChange func()) (stop func())
}

// QueueLimits bounds one user's queue.
type QueueLimits struct {
	Messages int
	Bytes    int64 // of payloads
}

// StoredMessage is a message as the store has it. Times are whole milliseconds.
type StoredMessage struct {
	User      string
	ID        string
	Named     bool // the id is the sender's own, so it is unique for that sender
	Sender    string
	Topic     string
	Event     string
	Payload   json.RawMessage
	QueuedAt  time.Time
	ExpiresAt time.Time
	Offset    uint64 // set by the store
}

// QueuePage is a page of a queue, with the state of the queue.
type QueuePage struct {
	Messages       []StoredMessage
	Head, Tail     uint64 // the queue has the offsets Head+1 … Tail
	Expired        int    // messages that expired and that were not acknowledged since
	ExpiredThrough uint64 // the offset of the last of them; 0 if there are none

	Before []log.Position // earlier epochs, the latest first, and up to which offset each agrees with this queue
}

// PageBytes is about how many bytes of payload a page of messages or events should have at most.
const PageBytes = log.MaxReadBytes
