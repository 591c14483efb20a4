// Package sqlite keeps what must outlive the process in one SQLite file: users' queues and streams. It implements hub.QueueStore and
// hub.StreamStore.
//
// One goroutine writes. It takes whatever requests wait, commits them in one transaction, and answers all: while one fsync runs, the next batch
// gathers (group commit), so 256 publishers cost little more than one. The write-ahead log is synced at each commit (synchronous=FULL, unless
// Normal is asked for): what was acknowledged is on disk. Readers have a pool of their own, and neither wait for the writer nor hold it up.
//
// When a commit fails, everybody in it is told, nothing of it is kept, and the store is degraded until a write succeeds: it tries once a
// second. The connection stays: for SQLite a transaction whose sync failed is not part of the log, and the next one overwrites it. A new
// process would see the log as the page cache has it, so Open makes the log durable before SQLite reads it (package settle).
//
// Times come from callers. A clock that jumps ahead expires messages early by so much, never out of order; one that jumps back keeps them longer.
package sqlite
