package conversation

import (
	"time"
)

// StoredRecord is a conversation in a Store.
type StoredRecord struct {
	ID      string
	Owner   string // a user
	Version int64  // of the stored conversation; 0: it is not stored yet
	Data    []byte // a Record as this package encodes it
}

// Retention limits what a Store keeps.
type Retention struct {
	TTL    time.Duration // since a conversation was last saved
	OfUser int           // conversations of one owner; a further one replaces the one that was saved least recently
}

// A Store stores conversations for several nodes. It is safe for concurrent use. All methods may return
// errs.ErrUnavailable.
type Store interface {
	// LoadConversation returns the conversation with the id, or nil.
	LoadConversation(id string) (*StoredRecord, error)
	// LatestConversation returns the id of the owner's conversation that was saved last, or "" if there is none.
	LatestConversation(owner string) (id string, err error)
	// SaveConversation stores c and increments c.Version. It changes nothing and returns errs.ErrConflict if another
	// version than c.Version is stored. It accepts any version of a conversation that is not stored.
	SaveConversation(c *StoredRecord, retention Retention) error
	// LockConversation locks the conversation for all nodes until unlock is called. It waits for the lock for at most
	// LockPatience. A lock expires after LockTTL, in case its node has died; a holder that was slower than that gets
	// errs.ErrConflict from SaveConversation.
	LockConversation(id string) (unlock func(), err error)
}

// Timeouts of LockConversation.
const (
	LockTTL      = 20 * time.Second
	LockPatience = 10 * time.Second
)
