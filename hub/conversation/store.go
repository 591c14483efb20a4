package conversation

import "time"

// StoredRecord is what is kept of a conversation with a model. What is in its data is for the one to know who keeps it.
type StoredRecord struct {
	ID      string
	Owner   string // a user
	Version int64  // of the one that is kept; 0: none is
	Data    []byte
}

// Retention is how much is kept.
type Retention struct {
	TTL    time.Duration // since the conversation was saved last
	OfUser int           // conversations of one owner: beyond, those that were not saved for longest are forgotten
}

// A Store keeps conversations for several nodes. Safe for concurrent use. Errors of all methods: ErrUnavailable.
type Store interface {
	// LoadConversation returns the conversation of that id, or nil.
	LoadConversation(id string) (*StoredRecord, error)
	// LatestConversation returns the id of the owner's conversation that was begun or used last; "": there is none.
	LatestConversation(owner string) (id string, err error)
	// SaveConversation keeps c in the place of the one that has its version, or of none, and moves c.Version on. ErrConflict where another version is
	// kept by now, and then that stays.
	SaveConversation(c *StoredRecord, room Retention) error
	// LockConversation returns once nobody else has locked the conversation, until unlock is called. It gives up after ConversationPatience. A lock
	// ends by itself after ConversationLock, should its node have died; SaveConversation tells who has been too slow.
	LockConversation(id string) (unlock func(), err error)
}

// Times of LockConversation.
const (
	LockTTL      = 20 * time.Second
	LockPatience = 10 * time.Second
)
