// Package sqlite stores queues, streams and revocations in one SQLite file, so that they outlive the process. It
// implements hub.QueueStore, hub.StreamStore and rights.RevocationStore.
//
// One goroutine writes. It takes all requests that wait, commits them in one transaction, and answers each. While one
// fsync runs, the next batch collects (group commit), so 256 publishers cost little more than one. The write-ahead log
// (WAL) is synced at each commit (synchronous=FULL, unless the options ask for Normal): an acknowledged write is on
// disk. Readers have a connection pool of their own. They wait only while a checkpoint copies the WAL into the
// database.
//
// # When the disk fails
//
// When a batch cannot be committed, every request in it gets the error and nothing of it is stored. The store is then
// degraded (see Err) until a write succeeds. The next request is tried at once, later ones after a pause of up to a
// second; without requests, the store probes the disk itself. A request that causes its own failure is the only one
// that gets the error.
//
// Linux reports a failed sync once and then marks the pages clean: a later sync that succeeds says nothing about them.
// So after an I/O error the WAL is rewritten byte by byte and synced (package settle) before anything else is written.
// The connection stays open: SQLite does not count a transaction whose sync failed as part of the WAL, and the next
// transaction overwrites it. A new connection would find that transaction in the page cache and take it for committed.
// A new process always has a new connection, so Open settles the WAL, too. Checkpoints never run within a commit,
// because SQLite does not report their errors there.
//
// A damaged file ends all writing until the next start; reading goes on where it can. Open looks for damage for at
// most a second.
//
// # Clocks
//
// Callers pass the time; the store does not read a clock to expire messages. If a caller's clock is ahead, messages
// expire early by that much: at most limit in a call, the oldest first, and counted as expired. If it is behind,
// messages stay longer. No message is lost in any other way. A message that was queued under a clock far ahead delays
// the expiry of the messages behind it until it is acknowledged.
//
// The ids of acknowledged and expired messages are deleted ten minutes after QueuedAt by the machine's clock, and only
// while that clock has kept pace with the monotonic clock for ten minutes. A clock that jumps, a suspended machine or
// a restart delays the deletion, so no id is forgotten early.
//
// # Size
//
// Acknowledged and deleted data is removed in small steps, and free pages return to the file system. One small row
// remains for each user who ever had a message, so that no offset is assigned twice.
package sqlite
