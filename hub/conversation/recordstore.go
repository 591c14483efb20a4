package conversation

// recordStore stores conversations. It is safe for concurrent use. The methods of one that nodes share may return
// errs.ErrUnavailable.
type recordStore interface {
	// load returns the conversation with the id, or nil.
	load(id string) (*Record, error)
	// latest returns the id of the user's conversation that was saved last, or "" if there is none.
	latest(user string) (string, error)
	// save stores r and increments r.version. Errors, after which nothing has changed: *errs.LimitError;
	// errs.ErrConflict if another version than r.version is stored.
	save(r *Record) error
	// lock locks the conversation for all nodes until unlock is called.
	lock(id string) (unlock func(), err error)
	// shared reports whether other nodes have the same conversations.
	shared() bool
}
