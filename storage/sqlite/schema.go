package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations are the steps from one schema version to the next; the first creates a new file. PRAGMA user_version
// counts the steps that were applied.
var migrations = []string{`
	CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

	-- A user's queue. The messages head+1 … tail wait. Those from first to head are acknowledged or expired, and stay
	-- for their ids. Rows are never deleted, so that no offset is assigned twice.
	CREATE TABLE queues (
		user TEXT PRIMARY KEY,
		first INTEGER NOT NULL,
		first_queued INTEGER NOT NULL,      -- of the message at first, Unix milliseconds
		head INTEGER NOT NULL,
		tail INTEGER NOT NULL,
		bytes INTEGER NOT NULL,             -- of the payloads of waiting messages
		expired INTEGER NOT NULL,           -- messages that expired since the last acknowledgement
		expired_through INTEGER NOT NULL,
		next_expiry INTEGER                 -- of the oldest waiting message; null: none
	) STRICT, WITHOUT ROWID;
	CREATE INDEX queues_expiry ON queues (next_expiry) WHERE next_expiry IS NOT NULL;
	CREATE INDEX queues_done ON queues (first_queued) WHERE first <= head;

	CREATE TABLE messages (
		user TEXT NOT NULL,
		offset INTEGER NOT NULL,
		id TEXT NOT NULL,
		named INTEGER NOT NULL,
		sender TEXT NOT NULL,
		topic TEXT NOT NULL,
		event TEXT NOT NULL,
		payload BLOB NOT NULL,
		queued_at INTEGER NOT NULL,         -- Unix milliseconds
		expires_at INTEGER NOT NULL,
		UNIQUE (user, offset)
	) STRICT;
	CREATE UNIQUE INDEX messages_id ON messages (user, sender, id) WHERE named = 1;

	CREATE TABLE streams (id TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT;
	-- What one save added to a stream: the text of its runs, and their other fields.
	CREATE TABLE runs (
		stream TEXT NOT NULL,
		first INTEGER NOT NULL,             -- the offset of the first entry
		text BLOB NOT NULL,
		marks BLOB NOT NULL,
		UNIQUE (stream, first)
	) STRICT;
`, `
	-- Revoked tokens: all of a user (token_id is ''), or one (user is ''). Times are Unix microseconds.
	CREATE TABLE revocations (
		user TEXT NOT NULL,
		token_id TEXT NOT NULL,
		issued INTEGER NOT NULL,            -- of a user: tokens issued up to then are revoked
		until INTEGER NOT NULL,             -- when the row may be deleted
		PRIMARY KEY (user, token_id)
	) STRICT, WITHOUT ROWID;
	CREATE INDEX revocations_until ON revocations (until);
`}

// migrate brings the file to the newest schema, each step in a transaction of its own.
func migrate(ctx context.Context, c *sql.Conn) error {
	var version int
	if err := c.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("%w: its version is %d, and this program supports up to %d; use the newer program, "+
			"or restore an older backup", ErrNewer, version, len(migrations))
	}
	for ; version < len(migrations); version++ {
		script := fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA user_version = %d; COMMIT", migrations[version], version+1)
		if _, err := c.ExecContext(ctx, script); err != nil {
			_, _ = c.ExecContext(ctx, `ROLLBACK`) // fails if there is no transaction
			return fmt.Errorf("migration to version %d: %w", version+1, err)
		}
	}
	return nil
}
