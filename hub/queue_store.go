package hub

import (
	"encoding/json"
	"time"

	"github.com/duckwire/duckwire/hub/log"
)

// A QueueStore keeps users' messages until they are acknowledged. A user's queue is a log that only loses its
// beginning: messages have the offsets head+1 … tail, acknowledging and expiring move the head, and an offset is never
// given twice within one QueueEpoch. What is stored survives the end of the process and of the machine when the call
// that stored it returns. Safe for concurrent use. Whoever opened the store closes it, after the hub.
type QueueStore interface {
	// QueueEpoch names a life of the store's offsets. It stays the same over restarts, and is another one after
	// anything that may have set offsets back, such as a restored backup. It is of [a-z0-9], 1 to 24 bytes.
	QueueEpoch() string
	// Enqueue adds messages behind the last ones of their users, in order, all or none, and returns their offsets. A
	// Named message is not added where its user's queue knows that sender's id already: its first offset is returned. A
	// queue knows ids as long as it keeps the message, and at least ten minutes from its QueuedAt on. No message
	// expires before the one in front of it: its ExpiresAt is put off so far. What has expired by a message's QueuedAt
	// makes room for it. Errors: QueueFull where a queue would hold more than room.
	Enqueue(messages []StoredMessage, room QueueLimits) ([]uint64, error)
	// Messages returns a page of a user's messages behind an offset, oldest first: at most limit, fewer where they are
	// large.
	Messages(user string, after uint64, limit int) (QueuePage, error)
	// AckMessages forgets a user's messages up to an offset, and what was counted as expired up to it. It changes
	// nothing where that was done before. ahead says that the queue has never had that offset: then nothing is changed.
	AckMessages(user string, through uint64) (ahead bool, err error)
	// ExpireMessages forgets, and counts for the reader, messages whose ExpiresAt is not after now: at most limit of
	// them, of one user, or of any where user is "". It returns how many.
	ExpireMessages(user string, now time.Time, limit int) (int, error)
	// QueueSummaries returns the queues with the most messages waiting, at most limit, those of equal length by their
	// users' names, and the figures of all.
	QueueSummaries(limit int) ([]QueueSummary, QueueTotals, error)
}

// A QueueFollower is a QueueStore of several nodes. What it returns from QueueEpoch may become another epoch at any
// time.
type QueueFollower interface {
	QueueStore
	// FollowQueue calls changed, which must not block, when messages of a user may have come or gone on any node. It is
	// not called after stop has returned, but for a call that runs at that moment.
	FollowQueue(user string, changed func()) (stop func())
}

// QueueLimits is how much one user's queue may hold.
type QueueLimits struct {
	Messages int
	Bytes    int64 // of payloads
}

// StoredMessage is a message as it is kept. Times are whole milliseconds.
type StoredMessage struct {
	User      string
	ID        string
	Named     bool // the id is the sender's own, and makes the message one of its kind
	Sender    string
	Topic     string
	Event     string
	Payload   json.RawMessage
	QueuedAt  time.Time
	ExpiresAt time.Time
	Offset    uint64 // given by the store
}

// QueuePage is a page of a queue, and how the queue stands.
type QueuePage struct {
	Messages       []StoredMessage
	Head, Tail     uint64 // the queue holds the offsets Head+1 … Tail
	Expired        int    // messages that expired, and that nobody has acknowledged since
	ExpiredThrough uint64 // the last of them; 0 where there is none

	Before []log.Position // the epochs before QueueEpoch, the latest first, and up to where each is the same for this queue
}

// PageBytes is about how many bytes of payload a page of messages should not exceed.
const PageBytes = log.MaxReadBytes
