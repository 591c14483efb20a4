package conversation

// recordStore stores conversations. Safe for concurrent use. Errors of one that nodes share: hub.ErrUnavailable.
type recordStore interface {
	// load returns the conversation of that id, or nil.
	load(id string) (*Record, error)
	// latest returns the id of the conversation of the user's own that was saved last; "" is none.
	latest(user string) (string, error)
	// save puts r in the place of the one of its version, or of none, and sets r.version to the next. Errors, and then
	// what was stored stays: *hub.LimitError; hub.ErrConflict where another version is stored by now.
	save(r *Record) error
	// lock returns once no other node has locked the conversation, until unlock is called.
	lock(id string) (unlock func(), err error)
	// shared reports whether other nodes have the same conversations.
	shared() bool
}
