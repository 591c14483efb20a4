package conversation

import (
	"time"
)

// StoredRecord is a conversation as a Store has it.
type StoredRecord struct {
	ID      string
	Owner   string // a user
	Version int64  // of the one that is stored; 0: none is
	Data    []byte // a Record, encoded by this package
}

// Retention is how much is stored.
type Retention struct {
	TTL    time.Duration // since the conversation was saved last
	OfUser int           // conversations of one owner: beyond, those that were not saved for longest are forgotten
}

// A Store stores conversations for several nodes. Safe for concurrent use. Errors of all methods: errs.ErrUnavailable.
type Store interface {
	// LoadConversation returns the conversation of that id, or nil.
	LoadConversation(id string) (*StoredRecord, error)
	// LatestConversation returns the id of the owner's conversation that was begun or used last; "": there is none.
	LatestConversation(owner string) (id string, err error)
	// SaveConversation puts c in the place of the one that has its version, or of none, and sets c.Version to the next.
	// errs.ErrConflict where another version is stored by now, and then that stays.
	SaveConversation(c *StoredRecord, retention Retention) error
	// LockConversation returns once nobody else has locked the conversation, until unlock is called. It gives up after
	// LockPatience. A lock ends by itself after LockTTL, should its node have died; whoever was slower than that gets
	// errs.ErrConflict from SaveConversation.
	LockConversation(id string) (unlock func(), err error)
}

// Times of LockConversation.
const (
	LockTTL      = 20 * time.Second
	LockPatience = 10 * time.Second
)
