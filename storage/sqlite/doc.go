// Package sqlite keeps what must outlive the process in one SQLite file: users' queues and streams. It implements hub.QueueStore and
// hub.StreamStore.
//
// One goroutine writes. It takes whatever requests wait, commits them in one transaction, and answers all: while one fsync runs, the next batch
// gathers (group commit), so 256 publishers cost little more than one. The write-ahead log is synced at each commit (synchronous=FULL, unless
// Normal is asked for): what was acknowledged is on disk. Readers have a pool of their own, and wait only while the log is moved into the database.
//
// # When the disk fails
//
// When a batch cannot be committed, everybody in it is told, nothing of it is kept, and the store is degraded (Err) until a write succeeds: the next
// one may try at once, later ones after a pause of up to a second, and where nobody wants to write the store tries by itself. A request that is at
// fault itself is told so alone.
//
// Linux reports a failed sync once, and then takes the pages for clean: a later sync that succeeds says nothing of them. So after an I/O error
// the log is written once more, byte by byte, and synced (package settle) before anything else is. The connection stays: for SQLite a transaction whose
// sync failed is not part of the log, and the next one overwrites it, while a new connection would find it in the page cache and take it for
// committed. A new process cannot but do that, so Open settles the log too. Checkpoints never run within a commit, where SQLite would keep their errors
// to itself.
//
// A damaged file (Open looks for damage for a second, at most) ends all writing until the next start; what can be read still is.
//
// # Clocks
//
// Times come from callers; the store compares, and looks at no clock of its own to expire a message. A caller's clock that is set ahead expires
// messages early by so much, at most limit in a call and always the oldest first, and they are counted as expired; one that is set back keeps them longer.
// None is lost otherwise. A message that was queued under a clock far ahead puts off the expiry of those behind it, until it is acknowledged.
//
// Ids of messages that are done with are forgotten ten minutes after QueuedAt, by the machine's clock, and only when that has gone as fast as time
// itself for ten minutes: a jump, a suspended machine or a start of the store put it off, so no id is forgotten early.
//
// # Size
//
// Everything that was acknowledged or deleted is removed in small steps, and free pages go back to the system. What stays for ever is one small row
// for each user who ever had a message, so that no offset is given twice.
package sqlite
